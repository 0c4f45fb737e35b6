"""Queries for endpoints and deliveries."""

import datetime

from django.db.models import Min

from servicekit.http.pagination import Page
from webhooks.claims import due_endpoints
from webhooks.models import Delivery, Endpoint, Event, Position


def list_endpoints(*, owner_id: int) -> list[Endpoint]:
    """Return the owner's endpoints, newest first; at most ten."""
    return list(Endpoint.objects.filter(owner_id=owner_id, slot__gte=0).order_by("-id"))


def retrieve_endpoint(*, owner_id: int, endpoint_id: int) -> Endpoint | None:
    """Return the owner's endpoint with this id, or None."""
    return Endpoint.objects.filter(id=endpoint_id, owner_id=owner_id, slot__gte=0).first()


def list_deliveries(*, endpoint: Endpoint, page: Page) -> tuple[list[Delivery], bool]:
    """Return a page of the endpoint's deliveries, newest first, and whether there are more, in one statement."""
    query = Delivery.objects.filter(endpoint=endpoint).order_by("-created_at", "-id")
    if page.before is not None:
        query = query.filter(page.before.older("created_at"))
    rows = list(query[: page.limit + 1])
    return rows[: page.limit], len(rows) > page.limit


def retrieve_delivery(*, owner_id: int, endpoint_id: int, delivery_id: int) -> Delivery | None:
    """Return the delivery with this id, to this endpoint of the owner, or None."""
    return Delivery.objects.filter(
        id=delivery_id, endpoint_id=endpoint_id, endpoint__owner_id=owner_id, endpoint__slot__gte=0
    ).first()


def oldest_unread_event() -> datetime.datetime | None:
    """Return the time of the oldest event that the reader has not read, or None."""
    position = Position.objects.values_list("event_id", flat=True).first() or 0
    return Event.objects.filter(id__gt=position).order_by("id").values_list("created_at", flat=True).first()


def oldest_due(*, now: datetime.datetime) -> datetime.datetime | None:
    """Return the earliest time since which an unclaimed delivery has been due, or None."""
    due: datetime.datetime | None = due_endpoints(now=now).aggregate(at=Min("due_at"))["at"]
    return due
