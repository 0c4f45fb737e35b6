"""What the application server calls."""

import gc
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def service_application() -> "WSGIApplication":
    """Django's application, which never sees a Content-Type that it would fail on.

    It reads that header before any of its error handlers and takes its charset for the query string's, so that a
    malformed one, or charset=rot13, would be a 500 on any request. Without it a body is refused by 415.
    """
    django_application = get_wsgi_application()
    # All of the code now: what cannot be imported stops the start, and not the first request of each process.
    resolver = get_resolver()
    _ = resolver.url_patterns
    for status in (400, 403, 404, 500):
        resolver.resolve_error_handler(status)

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not hasattr(_thread, "known"):
            _thread.known = True
            # The server lets idle threads go and makes new ones. What the old ones leave, their database connections
            # among it, is in reference cycles: an idle process could keep it open for hours. Not a finaliser of the
            # thread's: granian's threads end in a way in which running one ends the process.
            gc.collect()
        if not _is_utf8(environ.get("CONTENT_TYPE", "")):
            environ["CONTENT_TYPE"] = ""
        return django_application(environ, start_response)

    return application


_thread = threading.local()


def _is_utf8(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
    except ValueError:
        return False
    return parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")
