"""The base of the services' views."""

from typing import Any

from django.http import HttpRequest
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response


class APIView(views.APIView):
    """Refuses whoever has no valid access token, unless a subclass says otherwise."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Asks who calls, but for OPTIONS: which methods there are is no secret, and the OpenAPI document tells it."""
        if request.method != "OPTIONS":
            super().initial(request, *args, **kwargs)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What may be done here, in the Allow header that every answer has."""
        return Response(status=204)
