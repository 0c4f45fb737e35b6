"""Views for webhooks: each parses, calls one service or selector and renders.

Another user's webhook is the same 404 as a missing one.
"""

from collections.abc import Callable
from typing import TypeVar

from django.http import Http404
from rest_framework.request import Request

from servicekit.http.exceptions import Conflict, UnprocessableContent
from servicekit.http.idempotency import parse_idempotency_key
from servicekit.http.pagination import Cursor, Page
from servicekit.http.responses import Response
from servicekit.http.urls import absolute_url
from servicekit.http.views import APIView
from servicekit.tokens.authentication import principal
from webhooks.models import ENDPOINTS_PER_OWNER, Endpoint
from webhooks.selectors import list_deliveries, list_endpoints, retrieve_delivery, retrieve_endpoint
from webhooks.serializers import (
    WebhookCreateSerializer,
    WebhookUpdateSerializer,
    represent_delivery,
    represent_webhook,
)
from webhooks.services import (
    EndpointDisabled,
    EndpointNotFound,
    KeyReused,
    NewSecret,
    TooManyEndpoints,
    create_endpoint,
    delete_endpoint,
    exchange_secret,
    redeliver,
    send_ping,
    update_endpoint,
)

LIST_LENGTH = 10
LARGEST_ID = 2**63 - 1
DISABLED = "The webhook is disabled; enable it first."
TOO_MANY = f"You have {ENDPOINTS_PER_OWNER} webhooks, which is the limit; delete one first."

T = TypeVar("T")


class WebhookListView(APIView):
    """GET and POST /api/webhooks."""

    def get(self, request: Request) -> Response:
        """Return the caller's webhooks, newest first."""
        endpoints = list_endpoints(owner_id=principal(request).user_id)
        return Response([represent_webhook(endpoint) for endpoint in endpoints])

    def post(self, request: Request) -> Response:
        """Create a webhook for the caller; for a repeated Idempotency-Key, return the webhook created with it."""
        new = WebhookCreateSerializer.parse(request.data)
        key = parse_idempotency_key(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        try:
            created, repeated = create_endpoint(owner_id=principal(request).user_id, key=key, **new)
        except TooManyEndpoints:
            raise Conflict(TOO_MANY) from None
        except KeyReused:
            raise UnprocessableContent from None
        response = Response(_with_secret(created), status=201)
        if repeated:
            response["Idempotency-Replayed"] = "true"
        response["Location"] = f"/api/webhooks/{created.endpoint.id}"
        return response


class WebhookDetailView(APIView):
    """GET, PATCH and DELETE /api/webhooks/{id}."""

    def get(self, request: Request, webhook_id: str) -> Response:
        """Return the webhook, without its secret."""
        return Response(represent_webhook(_endpoint(request, webhook_id)))

    def patch(self, request: Request, webhook_id: str) -> Response:
        """Change the webhook's URL or events, or enable or disable it."""
        changes = WebhookUpdateSerializer.parse(request.data)
        endpoint = _found(
            lambda: update_endpoint(owner_id=principal(request).user_id, endpoint_id=_identifier(webhook_id), **changes)
        )
        return Response(represent_webhook(endpoint))

    def delete(self, request: Request, webhook_id: str) -> Response:
        """Delete the webhook and its deliveries."""
        _found(lambda: delete_endpoint(owner_id=principal(request).user_id, endpoint_id=_identifier(webhook_id)))
        return Response(status=204)


class WebhookSecretView(APIView):
    """POST /api/webhooks/{id}/secret."""

    def post(self, request: Request, webhook_id: str) -> Response:
        """Exchange the secret; for a day, the old and the new one both sign."""
        created = _found(
            lambda: exchange_secret(owner_id=principal(request).user_id, endpoint_id=_identifier(webhook_id))
        )
        return Response(_with_secret(created))


class WebhookTestView(APIView):
    """POST /api/webhooks/{id}/test."""

    def post(self, request: Request, webhook_id: str) -> Response:
        """Queue a ping; 409 if the webhook is disabled."""
        delivery = _found(lambda: send_ping(owner_id=principal(request).user_id, endpoint_id=_identifier(webhook_id)))
        location = f"/api/webhooks/{delivery.endpoint_id}/deliveries/{delivery.id}"
        return Response(represent_delivery(delivery), status=202, headers={"Location": location})


class DeliveryListView(APIView):
    """GET /api/webhooks/{id}/deliveries."""

    query_parameters = Page.PARAMETERS

    def get(self, request: Request, webhook_id: str) -> Response:
        """Return a page of the webhook's deliveries, newest first."""
        page = Page.from_request(request, default_limit=LIST_LENGTH)
        endpoint = _endpoint(request, webhook_id)
        deliveries, more = list_deliveries(endpoint=endpoint, page=page)
        response = Response([represent_delivery(delivery) for delivery in deliveries])
        if more:
            last = Cursor(at=deliveries[-1].created_at, id=deliveries[-1].id)
            url = absolute_url(request, f"/api/webhooks/{endpoint.id}/deliveries")
            response["Link"] = page.link(path=url, last=last)
        return response


class DeliveryDetailView(APIView):
    """GET /api/webhooks/{id}/deliveries/{id}."""

    def get(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        """Return the delivery."""
        delivery = retrieve_delivery(
            owner_id=principal(request).user_id,
            endpoint_id=_identifier(webhook_id),
            delivery_id=_identifier(delivery_id),
        )
        if delivery is None:
            raise Http404
        return Response(represent_delivery(delivery))


class RedeliveryView(APIView):
    """POST /api/webhooks/{id}/deliveries/{id}/redelivery."""

    def post(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        """Queue the delivery again; 409 if the webhook is disabled."""
        delivery = _found(
            lambda: redeliver(
                owner_id=principal(request).user_id,
                endpoint_id=_identifier(webhook_id),
                delivery_id=_identifier(delivery_id),
            )
        )
        return Response(represent_delivery(delivery), status=202)


def _endpoint(request: Request, webhook_id: str) -> Endpoint:
    endpoint = retrieve_endpoint(owner_id=principal(request).user_id, endpoint_id=_identifier(webhook_id))
    if endpoint is None:
        raise Http404
    return endpoint


def _found(call: Callable[[], T]) -> T:
    """Return the result of ``call``; convert EndpointNotFound to a 404 and EndpointDisabled to a 409."""
    try:
        return call()
    except EndpointNotFound:
        raise Http404 from None
    except EndpointDisabled:
        raise Conflict(DISABLED) from None


def _identifier(text: str) -> int:
    """Return the id; raises Http404 if it does not fit a bigint, as for any missing row."""
    number = int(text)
    if number > LARGEST_ID:
        raise Http404
    return number


def _with_secret(created: NewSecret) -> dict[str, object]:
    return {**represent_webhook(created.endpoint), "secret": created.secret}
