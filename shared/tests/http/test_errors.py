import json

import pytest

REQUEST_ID = "0123456789abcdef0123456789abcdef"


def problem(client, path: str, **headers: str):
    return client.get(path, headers={"X-Request-ID": REQUEST_ID, **headers})


def document(slug: str, title: str, status: int, detail: str, path: str, **more) -> bytes:
    """Return the body: these members, in this order, in compact JSON."""
    members = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail, "instance": path}
    return json.dumps({**members, "request_id": REQUEST_ID, **more}, separators=(",", ":")).encode()


BAD_REQUEST = ("bad-request", "Bad Request", 400)
NOT_FOUND = ("not-found", "Not Found", 404, "There is nothing here, or it is not yours.")
FORBIDDEN = ("forbidden", "Forbidden", 403, "You may not do this.")
INTERNAL_ERROR = (
    "internal-server-error",
    "Internal Server Error",
    500,
    "An internal error occurred; it is logged under the request id.",
)
UNAVAILABLE = (
    "service-unavailable",
    "Service Unavailable",
    503,
    "A part of the system is unavailable. Try again soon.",
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/failing/parse", (*BAD_REQUEST, "The body is not valid JSON.")),
        ("/failing/forbidden", FORBIDDEN),
        ("/failing/http404", NOT_FOUND),
        ("/failing/drf404", NOT_FOUND),
        ("/failing/conflict", ("conflict", "Conflict", 409, "It runs already.")),
        (
            "/failing/precondition",
            (
                "precondition-failed",
                "Precondition Failed",
                412,
                "The current version of the resource does not meet the conditions of the request; read it again.",
            ),
        ),
        ("/failing/too-large", ("payload-too-large", "Payload Too Large", 413, "A body must not exceed 65536 bytes.")),
        (
            "/failing/media-type",
            ("unsupported-media-type", "Unsupported Media Type", 415, "Send application/json, in UTF-8."),
        ),
        (
            "/failing/throttled",
            (
                "too-many-requests",
                "Too Many Requests",
                429,
                "Too many attempts; the Retry-After header says when to try again.",
            ),
        ),
        ("/failing/busy", UNAVAILABLE),
        ("/failing/operational", UNAVAILABLE),
        ("/failing/interface", UNAVAILABLE),
        ("/failing/bare-database", UNAVAILABLE),
        ("/failing/integrity", INTERNAL_ERROR),
        ("/failing/database", INTERNAL_ERROR),
        ("/failing/defect", INTERNAL_ERROR),
        ("/plain/defect", INTERNAL_ERROR),
        ("/plain/suspicious", (*BAD_REQUEST, "The request is malformed.")),
        ("/plain/forbidden", FORBIDDEN),
        ("/plain/http404", NOT_FOUND),
        ("/no/such/route", NOT_FOUND),
    ],
)
def test_whatever_is_raised_is_a_problem_document_with_its_members_in_order(client, path, expected):
    response = problem(client, path)
    assert response.content == document(*expected, path)
    assert (response.status_code, response["Content-Type"]) == (expected[2], "application/problem+json")


@pytest.mark.parametrize(
    ("name", "status", "title", "detail"),
    [("unlisted", 406, "Not Acceptable", "Not in this form."), ("odd-status", 499, "Error", "Odd.")],
)
def test_refusal_whose_status_is_not_in_the_list_says_no_more_than_that(client, name, status, title, detail):
    response = problem(client, f"/failing/{name}")
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert response.json() == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"/failing/{name}",
        "request_id": REQUEST_ID,
    }


def test_invalid_fields_are_named(client):
    response = problem(client, "/failing/fields")
    errors = {"title": ["Too long.", "Too dull."], "body": ["Both."]}
    assert response.content == document(*BAD_REQUEST, "Some fields are not valid.", "/failing/fields", errors=errors)


def test_what_belongs_to_no_field_belongs_to_the_body(client):
    assert problem(client, "/failing/no-field").json()["errors"] == {"body": ["Not like this."]}


def test_anonymous_is_a_problem_document(client):
    response = problem(client, "/echo")
    detail = "An access token is required: Authorization: Bearer <access token>."
    assert response.content == document("unauthorized", "Unauthorized", 401, detail, "/echo")


def test_method_that_is_not_allowed_is_a_problem_document_with_allow(client):
    response = client.put("/failing/defect", headers={"X-Request-ID": REQUEST_ID})
    detail = "This method is not allowed here; see the Allow header."
    assert response.content == document("method-not-allowed", "Method Not Allowed", 405, detail, "/failing/defect")
    assert response["Allow"] == "GET, HEAD, OPTIONS"


def test_path_that_is_not_ascii_comes_back_as_a_uri(client):
    assert b'"instance":"/gibt/es/%22nicht%22/%C3%A4"' in problem(client, "/gibt/es/%22nicht%22/%C3%A4").content


def test_throttled_says_in_whole_seconds_when_to_try_again(client):
    assert problem(client, "/failing/throttled")["Retry-After"] == "3"


@pytest.mark.parametrize("name", ["busy", "operational", "interface", "bare-database"])
def test_unavailable_says_when_to_try_again(client, name):
    assert problem(client, f"/failing/{name}")["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("name", "error"),
    [("operational", "OperationalError"), ("integrity", "IntegrityError"), ("defect", "RuntimeError")],
)
def test_failure_of_ours_is_logged_once_with_its_traceback(client, records, name, error):
    problem(client, f"/failing/{name}")
    with_traceback = [record for record in records() if "exc_info" in record]
    assert [(record["level"], record["request_id"]) for record in with_traceback] == [("ERROR", REQUEST_ID)]
    assert with_traceback[0]["exc_info"].splitlines()[-1].split(":")[0].rpartition(".")[2] == error


@pytest.mark.parametrize("path", ["/failing/parse", "/failing/http404", "/echo", "/no/such/route"])
def test_failure_of_the_callers_is_one_line_in_the_log(client, records, path):
    problem(client, path)
    assert [record["message"] for record in records()] == ["request"]
