"""The base class of the services' views."""

from collections.abc import Collection
from functools import cache
from typing import Any, cast

from django.http import HttpRequest
from rest_framework import views
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request as DRFRequest
from rest_framework.settings import api_settings

from servicekit.http.queries import check_query
from servicekit.http.requests import Request
from servicekit.http.responses import Response


class APIView(views.APIView):
    """Rejects requests without a valid access token, unless a subclass overrides this.

    The services use one parser and one renderer, and neither versioning nor throttling of Django REST framework. So
    nothing is negotiated, and the stateless objects that the framework creates for each request (parsers,
    authenticators, permissions) are created once. No request leaves a reference cycle behind: collecting that garbage
    would take a third of a request's time.
    """

    # The query parameters that the view accepts; others are refused.
    query_parameters: Collection[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Otherwise Django sets a bound method on each instance, which is a reference cycle.
        if hasattr(cls, "get") and not hasattr(cls, "head"):
            cls.head = cls.get  # type: ignore[attr-defined]  # as View.setup() does

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Return the request with this view's authenticators."""
        return Request(request, authenticators=self.get_authenticators(), negotiator=self.get_content_negotiator())

    def initial(self, request: DRFRequest, *args: Any, **kwargs: Any) -> None:
        """Authenticate the caller and check the query, except for OPTIONS, since the OpenAPI document is public."""
        # For views that return Django REST framework's own Response.
        (request.accepted_renderer,) = self.get_renderers()
        request.accepted_media_type = request.accepted_renderer.media_type
        if request.method != "OPTIONS":
            self.perform_authentication(request)
            self.check_permissions(request)
            if request.META.get("QUERY_STRING"):
                check_query(request.query_params, known=self.query_parameters)

    def perform_authentication(self, request: DRFRequest) -> None:
        """Authenticate the caller; raises the exceptions of the authenticators."""
        # request.user would first look for an existing user, which raises three exceptions.
        request._authenticate()  # type: ignore[attr-defined]  # not in the stubs

    def finalize_response(self, request: DRFRequest, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the response with the view's headers, and break the reference cycle in the parser context."""
        request.parser_context.clear()
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return an empty response; the Allow header, which every response has, lists the methods."""
        return Response(status=204)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Return the Allow header, which is the same for every request to the view."""
        view: Any = type(self)
        return {"Allow": _allow(view)}

    def get_renderers(self) -> list[BaseRenderer]:
        return _shared_instances(self.renderer_classes)

    def get_parsers(self) -> list[BaseParser]:
        return _shared_instances(self.parser_classes)

    def get_authenticators(self) -> list[BaseAuthentication]:
        return _shared_instances(self.authentication_classes)

    def get_permissions(self) -> list[Any]:
        return _shared_instances(self.permission_classes)

    def get_content_negotiator(self) -> BaseContentNegotiation:
        return cast(BaseContentNegotiation, _instance(api_settings.DEFAULT_CONTENT_NEGOTIATION_CLASS))


def _shared_instances(classes: Any) -> list[Any]:
    return [_instance(each) for each in classes]


@cache
def _instance(each: Any) -> Any:
    return each()


@cache
def _allow(view: Any) -> str:
    return ", ".join(method for method in view.http_method_names if hasattr(view, method)).upper()
