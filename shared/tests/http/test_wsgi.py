import gc
import io
import threading
import weakref
from wsgiref.util import setup_testing_defaults

import pytest
from django.db import connection, connections
from django.test import override_settings

from servicekit.http.wsgi import service_application
from servicekit.testing import bearer

# Each request checks the database connection.
pytestmark = pytest.mark.django_db

# Codecs of Python that cannot decode a query string.
CODECS = ["rot13", "undefined", "idna", "punycode", "zlib", "utf-16", "utf-7"]
MALFORMED = ["application/json; charset*=bogus''x", "text/plain; name*=''%", "x; charset*=0*''"]


def call(method: str, content_type: str, body: bytes = b"") -> tuple[str, bytes]:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": "/echo",
        "QUERY_STRING": "limit=4&name=%C3%A4",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "HTTP_AUTHORIZATION": bearer()["Authorization"],
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    response = service_application("test")(environ, lambda status, headers: statuses.append(status))
    return statuses[0], b"".join(response)


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain; charset=UTF-8"])
def test_query_is_read_as_utf8(content_type):
    assert call("GET", content_type) == ("200 OK", '{"user_id":1,"query":{"limit":"4","name":"ä"}}'.encode())


@pytest.mark.parametrize("content_type", [f"application/json; charset={codec}" for codec in CODECS] + MALFORMED)
def test_query_is_read_as_utf8_whatever_is_said_of_the_body(content_type):
    assert call("GET", content_type) == call("GET", "")


@pytest.mark.parametrize("content_type", [f"application/json; charset={codec}" for codec in CODECS] + MALFORMED)
def test_body_of_which_no_good_is_said_is_415(content_type):
    assert call("POST", content_type, b"{}")[0] == "415 Unsupported Media Type"


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_good_body_is_taken(content_type):
    assert call("POST", content_type, b'{"a":1}') == ("200 OK", b'{"a":1}')


def test_code_that_cannot_be_imported_stops_the_start():
    with override_settings(ROOT_URLCONF="tests.missing"), pytest.raises(ModuleNotFoundError):
        service_application("test")


def test_connections_of_threads_that_have_ended_are_gone_when_a_new_one_serves():
    """They do not have to wait for a garbage collection, which an idle process may never run."""
    left: list[weakref.ref] = []

    def serve() -> None:
        call("GET", "")
        connection.ensure_connection()
        left.append(weakref.ref(connections["default"]))

    gc.disable()
    try:
        for _ in range(2):
            thread = threading.Thread(target=serve)
            thread.start()
            thread.join()
        assert [reference() is None for reference in left] == [True, False]
    finally:
        gc.enable()
