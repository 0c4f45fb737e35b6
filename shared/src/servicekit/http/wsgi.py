"""Build the WSGI application of a service."""

import contextlib
import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import django
from django.core import cache, signals
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections, connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

from servicekit import telemetry
from servicekit.database.sqlite import base as sqlite
from servicekit.metrics import exposition

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


# How long after a request its connection is reused without a health check, if DATABASES enables health checks.
TRUSTED_FOR_SECONDS = 0.1


def service_application(name: str) -> "WSGIApplication":
    """Return Django's application for the named service, protected from Content-Type headers that it would fail on.

    Django reads that header before any error handler runs, and uses its charset for the query string, so a malformed
    header, or charset=rot13, would be a 500 for any request. Such a header is removed; a body without one is a 415.
    """
    # Like get_wsgi_application(), but with our own handler.
    django.setup(set_prefix=False)
    django_application = _Handler()
    sqlite.DatabaseWrapper.may_create = False
    # Import all code now, so that an ImportError fails the start, not the first request.
    resolver = get_resolver()
    _ = resolver.url_patterns
    for status in (400, 403, 404, 500):
        resolver.resolve_error_handler(status)
    _disconnect_signals()
    exposition.serve_own()
    telemetry.start(name)
    end_with_parent()
    # Everything loaded so far stays: the collections below need not scan it.
    gc.collect()
    gc.freeze()

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not hasattr(_thread, "known"):
            _thread.known = True
            # The server stops idle threads and starts new ones. The objects that they leave, such as database
            # connections, are in reference cycles, so an idle process could keep them open for hours. A finaliser of
            # the thread does not help: when granian stops a thread, running one would end the process.
            gc.collect()
        _drop_connection_that_failed()
        content_type = environ.get("CONTENT_TYPE")
        if content_type and content_type != "application/json" and not _is_utf8(content_type):
            environ["CONTENT_TYPE"] = ""
        response: Iterable[bytes] = django_application(environ, start_response)
        return response

    return application


def end_with_parent() -> None:
    """Exit this worker process as soon as the server's main process has exited.

    The main process may be killed while it is starting a worker that no other program knows of, and that would hold
    the socket and the database forever.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


class _Handler(WSGIHandler):
    """Django's handler, reduced to a service at the root with one URLconf, no uploads and no file responses.

    Django's own also handles the rest for each request, which would take a tenth of our time.
    """

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        response: Any = self.get_response(self.request_class(environ))
        # The admin sets cookies.
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
        if response.streaming:
            return response
        # granian sends a list whole; any other iterable passes piece by piece through a channel between threads.
        with contextlib.closing(response):
            return [response.content]

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response, without Django's log line for a status of 400 or more: the middleware has logged it."""
        response: HttpResponseBase = self._middleware_chain(request)  # type: ignore[attr-defined]  # not in the stubs
        return response


_thread = threading.local()


def _disconnect_signals() -> None:
    """Disconnect Django's handlers at each request's start and end for connections, caches and query logs.

    They cost 27 µs per request, for one connection, no cache, and logs that only DEBUG keeps.
    _drop_connection_that_failed() does the part that we need.
    """
    signals.request_started.disconnect(reset_queries)
    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    signals.request_finished.disconnect(cache.close_caches)
    signals.request_finished.disconnect(reset_urlconf)


def _drop_connection_that_failed() -> None:
    """Close this thread's connection if it is too old, or no longer works after an error."""
    connection = connections["default"]
    # In tests, a transaction surrounds the request.
    if connection.connection is not None and not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
        # A health check is a round trip; a connection that worked a moment ago needs none.
        now = time.monotonic()
        trusted = now - getattr(_thread, "used_at", 0.0) < TRUSTED_FOR_SECONDS
        connection.health_check_done = trusted  # type: ignore[attr-defined]  # not in the stubs
        _thread.used_at = now


def _is_utf8(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
    except ValueError:
        return False
    return parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")
