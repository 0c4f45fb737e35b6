"""The HTTP contract: status, headers and bodies."""

import datetime
import gc
import io
import json
import re
from urllib.parse import parse_qs, urlsplit
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request

from servicekit.http.times import iso_utc
from servicekit.http.wsgi import service_application
from servicekit.testing import bearer
from tasks.models import Task
from tests.conftest import API, AT, change, sent

pytestmark = pytest.mark.django_db

MICROSECOND = datetime.timedelta(microseconds=1)
NOW = "2026-02-01T12:00:00.000007Z"
REQUEST_ID = "0" * 32
NOT_FOUND = "There is nothing here, or it is not yours."
CHANGED = "The current version of the resource does not meet the conditions of the request; read it again."
UNKNOWN_FIELD = "This field is unknown or may not be set."


def problem(slug: str, status: int, detail: str, path: str = "/api/tasks", **more: object) -> bytes:
    """Return the bytes of a problem document."""
    title = slug.replace("-", " ").title()
    members = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail, "instance": path}
    return compact({**members, "request_id": REQUEST_ID, **more})


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def shown(task: Task, **changes: object) -> dict[str, object]:
    """Return a task as clients see it."""
    return {
        "id": task.id,
        "title": task.title,
        "duration": task.duration,
        "created_at": iso_utc(task.created_at),
        "updated_at": iso_utc(task.updated_at),
        **changes,
    }


def wsgi(body: object) -> dict[str, object]:
    """Return a WSGI environment for the body, without method and path."""
    content = b"" if body is None else json.dumps(body).encode()
    environ: dict[str, object] = {
        "wsgi.input": io.BytesIO(content),
        "CONTENT_LENGTH": str(len(content)),
        "CONTENT_TYPE": "application/json",
        "HTTP_AUTHORIZATION": bearer(1)["Authorization"],
    }
    setup_testing_defaults(environ)
    return {name: value for name, value in environ.items() if name not in ("REQUEST_METHOD", "PATH_INFO")}


def stored() -> list[tuple[object, ...]]:
    return list(Task.objects.order_by("id").values_list())


@pytest.fixture
def task(make_task) -> Task:
    """A task of user 1 at version 1."""
    return make_task(title="Read", duration=30, created_at=AT)


@pytest.fixture
def frozen(time_machine) -> None:
    time_machine.move_to(NOW, tick=False)


class TestCreate:
    def test_answers_201_with_the_task_its_address_and_its_tag(self, api, frozen):
        response = api("POST", "/api/tasks", {"title": "  Äpfel 😀 ", "duration": 525_600})
        stored_id = Task.objects.get().id
        assert response.status_code == 201
        assert response.content == compact(
            {"id": stored_id, "title": "Äpfel 😀", "duration": 525_600, "created_at": NOW, "updated_at": NOW}
        )
        assert dict(response.headers) == {
            "Content-Type": "application/json",
            "ETag": f'"{Task.objects.get().version}"',
            "Allow": "GET, POST, HEAD, OPTIONS",
            "Location": f"/api/tasks/{stored_id}",
            "Content-Length": str(len(response.content)),
            "X-Request-ID": REQUEST_ID,
            "Cache-Control": "no-store",
        }

    def test_task_is_the_callers_and_found_at_its_address(self, api, stranger):
        response = api("POST", "/api/tasks", {"title": "Read", "duration": 30})
        again = api("GET", response["Location"])
        assert (again.content, again["ETag"]) == (response.content, response["ETag"])
        assert stranger("GET", response["Location"]).status_code == 404

    def test_equal_tasks_are_two_tasks(self, api):
        for _ in range(2):
            api("POST", "/api/tasks", {"title": "Read", "duration": 30})
        assert Task.objects.filter(title="Read").count() == 2

    def test_everything_that_is_wrong_is_named_and_nothing_is_stored(self, api):
        response = api("POST", "/api/tasks", {"title": " ", "duration": "5", "id": 5})
        errors = {
            "title": ["Must not be empty."],
            "duration": ["Must be a whole number of minutes from 1 to 525600, as a JSON integer."],
            "id": [UNKNOWN_FIELD],
        }
        assert response.status_code == 400
        assert response.content == problem("bad-request", 400, "Some fields are not valid.", errors=errors)
        assert response["Content-Type"] == "application/problem+json"
        assert not Task.objects.exists()


class TestRetrieve:
    def test_answers_200_with_the_task_and_its_tag(self, api, task):
        response = api("GET", f"/api/tasks/{task.id}")
        assert (response.status_code, response.content) == (200, compact(shown(task)))
        assert dict(response.headers) == {
            "Content-Type": "application/json",
            "ETag": '"1"',
            "Allow": "GET, PUT, PATCH, DELETE, HEAD, OPTIONS",
            "Content-Length": str(len(response.content)),
            "X-Request-ID": REQUEST_ID,
            "Cache-Control": "private, no-cache",
        }

    def test_head_answers_the_same_headers_and_no_body(self, api, task):
        got, head = api("GET", f"/api/tasks/{task.id}"), api("HEAD", f"/api/tasks/{task.id}")
        assert (head.status_code, dict(head.headers), head.content) == (200, dict(got.headers), b"")

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_version_that_the_client_has_is_304_without_a_body(self, api, task, method):
        response = api(method, f"/api/tasks/{task.id}", If_None_Match='W/"1"')
        assert (response.status_code, response.content) == (304, b"")
        assert dict(response.headers) == {
            "ETag": '"1"',
            "Allow": "GET, PUT, PATCH, DELETE, HEAD, OPTIONS",
            "X-Request-ID": REQUEST_ID,
            "Cache-Control": "private, no-cache",
        }

    def test_version_that_the_client_does_not_have_is_200(self, api, task):
        path = f"/api/tasks/{task.id}"
        renamed = api("PATCH", path, {"title": "New"})
        response = api("GET", path, If_None_Match='"1"')
        assert (response.status_code, response["ETag"], response.content) == (200, renamed["ETag"], renamed.content)

    def test_another_users_task_is_404_whatever_the_condition(self, stranger, task):
        assert stranger("GET", f"/api/tasks/{task.id}", If_None_Match="*").status_code == 404

    @pytest.mark.parametrize("header", ["*", '"1"', '"2", "1"'])
    def test_version_that_the_client_asks_for_is_200(self, api, task, header):
        assert api("GET", f"/api/tasks/{task.id}", If_Match=header).content == compact(shown(task))

    @pytest.mark.parametrize("none_match", ["*", '"2"'])
    def test_version_that_the_client_does_not_ask_for_is_412_before_it_is_304(self, api, task, none_match):
        path = f"/api/tasks/{task.id}"
        response = api("GET", path, If_Match='"2"', If_None_Match=none_match)
        assert response.content == problem("precondition-failed", 412, CHANGED, path)

    def test_malformed_condition_is_400(self, api, task):
        response = api("GET", f"/api/tasks/{task.id}", If_None_Match="1")
        detail = 'If-None-Match must be * or a list of entity tags such as "3".'
        assert response.content == problem("bad-request", 400, detail, f"/api/tasks/{task.id}")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
class TestRename:
    def test_answers_200_with_the_renamed_task_and_its_new_tag(self, api, task, frozen, method):
        response = api(method, f"/api/tasks/{task.id}", {"title": " New "})
        assert (response.status_code, response["ETag"]) == (200, f'"{Task.objects.get().version}"')
        assert response["ETag"] != '"1"'
        assert response.content == compact(shown(task, title="New", updated_at=NOW))
        assert api("GET", f"/api/tasks/{task.id}").content == response.content

    @pytest.mark.parametrize("body", [{"title": "New", "duration": 30}, {"duration": 60}, {"duration": None}])
    def test_duration_is_refused_and_nothing_changes(self, api, task, method, body):
        before = stored()
        response = api(method, f"/api/tasks/{task.id}", body)
        assert response.status_code == 400
        assert response.json()["errors"]["duration"] == [UNKNOWN_FIELD]
        assert stored() == before

    @pytest.mark.parametrize("field", ["id", "created_at", "updated_at", "owner_id", "version", "colour"])
    def test_any_other_field_is_refused_and_nothing_changes(self, api, task, method, field):
        before = stored()
        response = api(method, f"/api/tasks/{task.id}", {"title": "New", field: 5})
        path = f"/api/tasks/{task.id}"
        errors = {field: [UNKNOWN_FIELD]}
        assert response.content == problem("bad-request", 400, "Some fields are not valid.", path, errors=errors)
        assert stored() == before

    def test_title_is_required(self, api, task, method):
        response = api(method, f"/api/tasks/{task.id}", {})
        assert (response.status_code, response.json()["errors"]) == (400, {"title": ["This field is required."]})


class TestDelete:
    def test_answers_204_and_the_task_is_gone(self, api, task, make_task):
        other = make_task()
        response = api("DELETE", f"/api/tasks/{task.id}")
        assert (response.status_code, response.content) == (204, b"")
        assert "Content-Type" not in response
        assert api("GET", f"/api/tasks/{task.id}").status_code == 404
        assert list(Task.objects.values_list("id", flat=True)) == [other.id]

    def test_second_time_answers_404(self, api, task):
        api("DELETE", f"/api/tasks/{task.id}")
        assert api("DELETE", f"/api/tasks/{task.id}").status_code == 404


BODIES = {
    "null": (b"null", {"body": ["Send a JSON object."]}),
    "array": (b'[{"title": "Read", "duration": 5}]', {"body": ["Send a JSON object."]}),
    "string": (b'"Read"', {"body": ["Send a JSON object."]}),
    "number": (b"5", {"body": ["Send a JSON object."]}),
    "true": (b"true", {"body": ["Send a JSON object."]}),
    "cut off": (b'{"title": "Read"', None),
    "978 nested arrays": (b"[" * 978 + b"]" * 978, None),
    "nested title": (b'{"title": ' + b"[" * 900 + b"]" * 900 + b"}", None),
    "duplicate member": (b'{"title": "Read", "title": "Write"}', None),
    "half a surrogate pair": (b'{"title": "\\ud800"}', None),
    "NaN": (b'{"title": "Read", "duration": NaN}', None),
    "1e400": (b'{"title": "Read", "duration": 1e400}', None),
    "not UTF-8": (b'{"title": "\xff"}', None),
    "byte order mark": (b'\xef\xbb\xbf{"title": "Read", "duration": 5}', None),
}


@pytest.mark.parametrize(("body", "errors"), BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_bad_body_is_400_and_changes_nothing(api, task, method, body, errors):
    before = stored()
    response = api(method, "/api/tasks" if method == "POST" else f"/api/tasks/{task.id}", body=body)
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    if errors is not None:
        assert response.json()["errors"] == errors
    assert stored() == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_no_body_is_an_empty_object(api, task, method):
    response = api(method, "/api/tasks" if method == "POST" else f"/api/tasks/{task.id}", body=b"")
    assert response.status_code == 400
    assert response.json()["errors"]["title"] == ["This field is required."]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param({"Content_Type": "text/plain"}, b'{"title": "New"}', 415, id="another type"),
        pytest.param({"Content_Type": "application/x-www-form-urlencoded"}, b"title=New", 415, id="form"),
        pytest.param({"Content_Type": "application/json; charset=utf-16"}, b'{"title": "New"}', 415, id="UTF-16"),
        pytest.param({"Content_Encoding": "gzip"}, b'{"title": "New"}', 415, id="compressed"),
        pytest.param({}, b'{"title": "' + b"x" * 65_536 + b'"}', 413, id="more than 64 KiB"),
    ],
)
def test_body_of_another_kind_is_refused_and_changes_nothing(api, task, method, headers, body, status):
    before = stored()
    path = "/api/tasks" if method == "POST" else f"/api/tasks/{task.id}"
    response = api(method, path, body=body, **headers)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert stored() == before


class TestConditions:
    """A rename and a delete under every kind of condition; the task is at version 3."""

    @pytest.fixture
    def task(self, make_task) -> Task:
        return make_task(version=3)

    @pytest.mark.parametrize("header", ["*", '"3"', '"2", "3"', 'W/"2", "3"', '"x","3"'])
    def test_condition_that_holds(self, api, task, header):
        path = f"/api/tasks/{task.id}"
        assert api("PATCH", path, {"title": "New"}, If_Match=header).status_code == 200
        Task.objects.update(version=3)
        assert api("DELETE", path, If_Match=header).status_code == 204

    @pytest.mark.parametrize("header", ['"2"', '"4"', 'W/"3"', '"x"', '"2", W/"3"', '"33"', '""', '"99999999999999"'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_condition_that_does_not_hold_is_412_and_changes_nothing(self, api, task, method, header):
        before = stored()
        path = f"/api/tasks/{task.id}"
        response = api(method, path, None if method == "DELETE" else {"title": "New"}, If_Match=header)
        assert response.content == problem("precondition-failed", 412, CHANGED, path)
        assert stored() == before

    @pytest.mark.parametrize("header", ["3", '"3', "", '*, "3"', ",".join(['"3"'] * 11)])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_malformed_condition_is_400_and_changes_nothing(self, api, task, method, header):
        before = stored()
        path = f"/api/tasks/{task.id}"
        response = api(method, path, None if method == "DELETE" else {"title": "New"}, If_Match=header)
        assert response.status_code == 400
        assert "If-Match" in response.json()["detail"]
        assert stored() == before

    @pytest.mark.parametrize("header", ['"2"', 'W/"2"', '"x"', '"30"'])
    def test_a_version_that_the_client_does_not_have_is_changed(self, api, task, header):
        path = f"/api/tasks/{task.id}"
        assert api("PATCH", path, {"title": "New"}, If_None_Match=header).json()["title"] == "New"
        assert api("DELETE", path, If_None_Match=header).status_code == 204

    @pytest.mark.parametrize("header", ["*", '"3"', 'W/"3"', '"2", "3"'])
    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_a_version_that_the_client_has_is_412_and_not_changed(self, api, task, method, header):
        before = stored()
        path = f"/api/tasks/{task.id}"
        response = api(method, path, None if method == "DELETE" else {"title": "New"}, If_None_Match=header)
        assert response.content == problem("precondition-failed", 412, CHANGED, path)
        assert stored() == before

    def test_of_two_renames_of_one_version_one_is_refused(self, api, task):
        path = f"/api/tasks/{task.id}"
        tag = api("GET", path)["ETag"]
        assert api("PATCH", path, {"title": "First"}, If_Match=tag).status_code == 200
        assert api("PATCH", path, {"title": "Second"}, If_Match=tag).status_code == 412
        assert api("GET", path).json()["title"] == "First"


METHODS = {"GET": None, "PUT": {"title": "New"}, "PATCH": {"title": "New"}, "DELETE": None}


@pytest.mark.parametrize(("method", "body"), METHODS.items(), ids=METHODS.keys())
class TestNotFound:
    @pytest.mark.parametrize("headers", [{}, {"If_Match": "*"}, {"If_Match": '"1"'}, {"If_None_Match": "*"}], ids=str)
    def test_somebody_elses_task_is_the_same_404_as_a_missing_one(self, stranger, task, method, body, headers):
        before = stored()
        path = f"/api/tasks/{task.id}"
        elses = stranger(method, path, body, **headers)
        assert (elses.status_code, elses.content) == (404, problem("not-found", 404, NOT_FOUND, path))
        assert stored() == before
        Task.objects.all().delete()
        missing = stranger(method, path, body, **headers)
        assert (missing.status_code, missing.content, dict(missing.headers)) == (
            elses.status_code,
            elses.content,
            dict(elses.headers),
        )

    @pytest.mark.parametrize(
        "identifier",
        [
            "0",
            str(2**31),
            str(2**63 - 1),
            str(2**63),
            "9" * 19,
            "9" * 20,
            "9" * 5000,
            "-1",
            "1.0",
            "one",
            "١",
            "%D9%A1",
            "1%0A",
            "%001",
            "1/2",
        ],
        ids=lambda text: text if len(text) < 10 else f"{text[:4]}… ({len(text)})",
    )
    def test_what_cannot_be_an_id_is_the_same_404(self, api, task, method, body, identifier):
        before = stored()
        response = api(method, f"/api/tasks/{identifier}", body)
        assert response.status_code == 404
        assert response.content == problem("not-found", 404, NOT_FOUND, response.json()["instance"])
        assert stored() == before


@pytest.mark.parametrize("slash", ["", "/"])
def test_slash_at_the_end_makes_no_difference(api, frozen, slash):
    created = api("POST", f"/api/tasks{slash}", {"title": "Read", "duration": 30})
    path = f"{created['Location']}{slash}"
    assert created.status_code == 201
    assert api("GET", f"/api/tasks{slash}").json() == [created.json()]
    assert api("GET", path).content == created.content
    assert api("PATCH", path, {"title": "New"}).status_code == 200
    assert api("DELETE", path).status_code == 204


@pytest.mark.parametrize(
    ("path", "allow", "refused"),
    [
        ("/api/tasks", "GET, POST, HEAD, OPTIONS", ["PUT", "PATCH", "DELETE", "TRACE"]),
        ("/api/tasks/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS", ["POST", "TRACE"]),
    ],
)
def test_other_methods_are_405_and_options_says_which_are_not(api, path, allow, refused):
    options = api("OPTIONS", path)
    assert (options.status_code, options.content, options["Allow"]) == (204, b"", allow)
    for method in refused:
        response = api(method, path)
        detail = "This method is not allowed here; see the Allow header."
        assert response.content == problem("method-not-allowed", 405, detail, path)
        assert response["Allow"] == allow


class TestList:
    def test_is_empty_for_a_user_without_tasks(self, api):
        response = api("GET", "/api/tasks")
        assert (response.status_code, response.content) == (200, b"[]")
        assert "Link" not in response
        assert "ETag" not in response

    def test_last_four_of_the_caller_newest_first(self, api, make_task):
        made = [make_task() for _ in range(5)]
        make_task(owner_id=2)
        response = api("GET", "/api/tasks")
        assert response.content == compact([shown(task) for task in reversed(made[1:])])

    def test_head_answers_the_same_headers_and_no_body(self, api, make_task):
        for _ in range(5):
            make_task()
        got, head = api("GET", "/api/tasks"), api("HEAD", "/api/tasks")
        assert (dict(head.headers), head.content) == (dict(got.headers), b"")

    def test_link_leads_on_and_the_last_page_has_none(self, api, make_task):
        made = [make_task().id for _ in range(3)]
        first = api("GET", "/api/tasks?limit=2")
        path = re.fullmatch('<(/api/tasks[?]limit=2&before=[A-Za-z0-9_-]+)>; rel="next"', first["Link"])[1]
        second = api("GET", path)
        assert [task["id"] for task in first.json() + second.json()] == made[::-1]
        assert "Link" not in second

    def test_task_that_is_added_meanwhile_shifts_nothing(self, api, make_task):
        made = [make_task().id for _ in range(4)]
        first = api("GET", "/api/tasks?limit=2")
        make_task()
        assert [task["id"] for task in api("GET", next_page(first)).json()] == made[1::-1]

    def test_anothers_cursor_shows_the_callers_own_tasks_only(self, api, stranger, make_task):
        for _ in range(3):
            make_task()
        own = make_task(owner_id=2, created_at=AT)
        response = stranger("GET", next_page(api("GET", "/api/tasks?limit=2")))
        assert [task["id"] for task in response.json()] == [own.id]

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "4.0", "four", "", "%D9%A4", "9" * 5000])
    def test_bad_limit_is_400(self, api, limit):
        response = api("GET", f"/api/tasks?limit={limit}")
        errors = {"limit": ["Must be a whole number from 1 to 100."]}
        assert response.content == problem("bad-request", 400, "Some fields are not valid.", errors=errors)

    @pytest.mark.parametrize("cursor", ["", "x", "MS4x=", "%00", "%FF", "é", "9" * 5000])
    def test_bad_cursor_is_400(self, api, cursor):
        response = api("GET", f"/api/tasks?before={cursor}")
        errors = {"before": ["Must be a cursor from the Link header of an earlier page."]}
        assert response.content == problem("bad-request", 400, "Some fields are not valid.", errors=errors)

    def test_more_parameters_than_django_reads_are_400(self, api):
        response = api("GET", f"/api/tasks?{'a=1&' * 1001}")
        assert response.content == problem("bad-request", 400, "The request is malformed.")


def next_page(response) -> str | None:
    """Return the URL in the Link header."""
    match = re.fullmatch('<(.+)>; rel="next"', response.get("Link", ""))
    return match and match[1]


def walk(api: API, path: str) -> list[dict[str, object]]:
    """Return the contents of all pages, one after the other."""
    tasks, pages = [], 0
    limit = int(parse_qs(urlsplit(path).query)["limit"][0])
    while path is not None:
        response = api("GET", path)
        path, page, pages = next_page(response), response.json(), pages + 1
        assert len(page) == limit or path is None
        assert page or pages == 1
        tasks += page
    return tasks


# Times of creation in microseconds after AT: many are equal, some a second apart, some a microsecond apart.
OFFSETS = st.lists(st.sampled_from([0, 0, 1, 2, 876_544, 1_876_544, 1_000_000]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(offsets=OFFSETS, limit=st.integers(1, 5))
def test_all_pages_together_are_the_whole_list(api, make_task, offsets, limit):
    Task.objects.all().delete()
    for offset in offsets:
        make_task(created_at=AT + offset * MICROSECOND)
    make_task(owner_id=2, created_at=AT)
    expected = sorted(
        (shown(task) for task in Task.objects.filter(owner_id=1)),
        key=lambda task: (task["created_at"], task["id"]),
        reverse=True,
    )
    assert walk(api, f"/api/tasks?limit={limit}") == expected


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/tasks", None),
        ("POST", "/api/tasks", {"title": "New", "duration": 5}),
        ("GET", "/api/tasks/1", None),
        ("PATCH", "/api/tasks/1", {"title": "New"}),
        ("DELETE", "/api/tasks/1", None),
        ("GET", "/readyz", None),
    ],
)
def test_database_away_is_503_and_its_words_do_not_show(api, method, path, body):
    def unavailable(*args: object) -> None:
        raise OperationalError("secret@host is unavailable")

    with connection.execute_wrapper(unavailable):
        response = api(method, path, body)
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert response["Content-Type"] == "application/problem+json"
    assert b"secret" not in response.content


class TestQueries:
    """The statements of each call, for any number of tasks."""

    @pytest.fixture(autouse=True)
    def more_tasks(self, make_task) -> None:
        for _ in range(10):
            make_task()

    @pytest.mark.parametrize(
        ("method", "path", "body", "headers", "status", "statements"),
        [
            pytest.param("GET", "/api/tasks", None, {}, 200, ["SELECT"], id="list"),
            pytest.param("GET", "/api/tasks?limit=9", None, {}, 200, ["SELECT"], id="list more"),
            pytest.param("POST", "/api/tasks", {"title": "New", "duration": 5}, {}, 201, change("INSERT"), id="create"),
            pytest.param("GET", "/api/tasks/{id}", None, {}, 200, ["SELECT"], id="retrieve"),
            pytest.param("GET", "/api/tasks/{id}", None, {"If_None_Match": "*"}, 304, ["SELECT"], id="retrieve known"),
            pytest.param("PATCH", "/api/tasks/{id}", {"title": "New"}, {}, 200, change("UPDATE"), id="rename"),
            pytest.param(
                "PATCH",
                "/api/tasks/{id}",
                {"title": "New"},
                {"If_Match": '"1"'},
                200,
                change("UPDATE"),
                id="rename tag",
            ),
            pytest.param(
                "PATCH",
                "/api/tasks/{id}",
                {"title": "New"},
                {"If_Match": '"2"'},
                412,
                [*change("UPDATE"), "SELECT"],
                id="rename stale",
            ),
            pytest.param("DELETE", "/api/tasks/{id}", None, {}, 204, change("INSERT"), id="delete"),
            pytest.param(
                "DELETE", "/api/tasks/{id}", None, {"If_Match": '"1"'}, 204, change("INSERT"), id="delete tag"
            ),
            pytest.param("GET", "/api/tasks/0", None, {}, 404, [], id="no id"),
            pytest.param("POST", "/api/tasks", {}, {}, 400, [], id="create nothing"),
            pytest.param("PATCH", "/api/tasks/{id}", {}, {}, 400, [], id="rename to nothing"),
        ],
    )
    def test_what_is_sent_to_the_database(self, api, task, method, path, body, headers, status, statements):
        with CaptureQueriesContext(connection) as queries:
            response = api(method, path.format(id=task.id), body, **headers)
        assert response.status_code == status
        assert sent(queries) == statements

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/api/tasks", None),
            ("GET", "/api/tasks/{id}", None),
            ("GET", "/api/tasks/0", None),
            ("POST", "/api/tasks", {"title": "New", "duration": 5}),
            ("PATCH", "/api/tasks/{id}", {"title": "New"}),
        ],
    )
    def test_no_request_is_garbage_that_only_the_collector_finds(self, task, method, path, body):
        """Collecting the reference cycles of a request would take a third of its time."""
        request = {"REQUEST_METHOD": method, "PATH_INFO": path.format(id=task.id), **wsgi(body)}
        seen = []
        for _ in range(2):  # The first creates what is created only once.
            gc.collect()
            gc.disable()
            try:
                response = service_application("tasks")(dict(request), lambda status, headers: None)
                body_sent = b"".join(response)
                del response
                seen.append([thing for thing in gc.get_objects() if type(thing) in (WSGIRequest, Request)])
            finally:
                gc.enable()
        assert body_sent
        assert seen[1] == []

    def test_request_without_a_token_does_not_reach_the_database(self, anonymous, task, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert anonymous("GET", f"/api/tasks/{task.id}").status_code == 401
