"""The middleware for request ids, log lines, and the headers of every response."""

import logging
import re
import secrets
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from servicekit.http.metrics import ACTIVE, count_request
from servicekit.http.outages import outages
from servicekit.process.context import set_request_id
from servicekit.tokens.verifier import Principal

logger = logging.getLogger("servicekit.request")

_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
PROBES = ("/healthz", "/readyz")


def request_log(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give the request the gateway's id, return it as X-Request-ID, count it, and write one log line.

    The query string is not logged, since people put secrets there; bodies and headers never are.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        # The gateway always sends a new id; a request without one bypassed it. Not a UUID: it is also the trace id, of
        # which samplers need every digit to be random.
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        identifier = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        set_request_id(identifier)
        ACTIVE.inc()
        try:
            response = get_response(request)
        finally:
            ACTIVE.dec()
        response["X-Request-ID"] = identifier
        # Responses depend on the token and change at any time; a view may override this. If a response only redirects
        # nginx internally, nginx would add the header to the final response.
        if "X-Accel-Redirect" not in response:
            response.setdefault("Cache-Control", "no-store")
        if response.status_code not in (204, 304) and not response.streaming:
            # Without it the server sends chunks, which cost more and do not announce the length.
            response.setdefault("Content-Length", str(len(response.content)))
        if 200 <= response.status_code < 300 and request.method != "OPTIONS" and request.path not in PROBES:
            outages.succeeded(request.method or "")
        user = getattr(request, "user", None)
        seconds = time.perf_counter() - started
        is_probe = request.path in PROBES
        if not is_probe:
            count_request(request, status=response.status_code, seconds=seconds)
        level = logging.DEBUG if is_probe else logging.INFO
        logger.log(
            level,
            "request",
            extra={
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 1),
                "user_id": user.user_id if isinstance(user, Principal) else None,
            },
        )
        return response

    return middleware
