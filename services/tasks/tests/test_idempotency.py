"""Idempotency-Key: repeated creations."""

import datetime
import subprocess
import sys

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks import services
from tasks.models import Event, IdempotencyKey, Task
from tests.conftest import ROOT, change, sent

BODY = {"title": "Read", "duration": 30}
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
AT_ONCE = 32


def counts() -> tuple[int, int, int]:
    return Task.objects.count(), Event.objects.count(), IdempotencyKey.objects.count()


@pytest.mark.django_db
class TestCreation:
    def test_sent_again_is_answered_as_before_and_makes_nothing(self, api):
        first = api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        again = [api("POST", "/api/tasks", BODY, Idempotency_Key=f'"{KEY}"') for _ in range(2)]
        assert first.status_code == 201
        assert "Idempotency-Replayed" not in first
        for response in again:
            replayed = dict(response.headers)
            assert replayed.pop("Idempotency-Replayed") == "true"
            assert (response.status_code, response.content, replayed) == (201, first.content, dict(first.headers))
        assert counts() == (1, 1, 1)

    def test_sent_again_is_answered_as_before_after_the_task_was_changed_or_deleted(self, api):
        first = api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        for method, body in (("PATCH", {"title": "Write"}), ("DELETE", None)):
            api(method, first["Location"], body)
            assert api("POST", "/api/tasks", BODY, Idempotency_Key=KEY).content == first.content
        assert not Task.objects.exists()

    @pytest.mark.parametrize("body", [BODY | {"title": "Write"}, BODY | {"duration": 31}])
    def test_another_body_is_422_and_makes_nothing(self, api, body):
        api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        response = api("POST", "/api/tasks", body, Idempotency_Key=KEY)
        problem = response.json()
        assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
        assert problem["type"] == "/problems/unprocessable-content"
        assert problem["detail"] == "This Idempotency-Key was already used with another body."
        assert counts() == (1, 1, 1)

    def test_body_that_says_the_same_in_other_bytes_is_the_same(self, api):
        api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        again = api("POST", "/api/tasks", body=b'{ "duration":30, "title": " Read " }', Idempotency_Key=KEY)
        assert again["Idempotency-Replayed"] == "true"

    def test_key_is_its_owners(self, api, stranger):
        for user in (api, stranger):
            assert "Idempotency-Replayed" not in user("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        assert counts() == (2, 2, 2)

    @pytest.mark.parametrize("other", [KEY.upper(), f'"{KEY} "', KEY + "x"])
    def test_key_that_differs_in_case_or_spaces_is_another(self, api, other):
        for key in (KEY, other):
            assert "Idempotency-Replayed" not in api("POST", "/api/tasks", BODY, Idempotency_Key=key)
        assert counts() == (2, 2, 2)

    def test_without_a_key_each_makes_a_task(self, api):
        for _ in range(2):
            api("POST", "/api/tasks", BODY)
        assert counts() == (2, 2, 0)

    def test_refused_creation_uses_no_key(self, api):
        assert api("POST", "/api/tasks", BODY | {"duration": 0}, Idempotency_Key=KEY).status_code == 400
        assert api("POST", "/api/tasks", BODY, Idempotency_Key=KEY).status_code == 201

    def test_bad_key_is_400_and_makes_nothing(self, api):
        response = api("POST", "/api/tasks", BODY, Idempotency_Key="x" * 256)
        assert (response.status_code, response.json()["detail"][:15]) == (400, "Idempotency-Key")
        assert counts() == (0, 0, 0)

    @pytest.mark.parametrize(("hours", "replayed"), [(23.99, True), (24.01, False), (-23.9, True), (-25, False)])
    def test_key_is_kept_for_24_hours_whatever_the_clock_said(self, api, time_machine, hours, replayed):
        now = datetime.datetime(2026, 2, 1, 12, tzinfo=datetime.UTC)
        time_machine.move_to(now, tick=False)
        api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        key = IdempotencyKey.objects.get()
        IdempotencyKey.objects.update(created_at=now - datetime.timedelta(hours=hours))
        assert ("Idempotency-Replayed" in api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)) is replayed
        assert (IdempotencyKey.objects.get().id == key.id) is replayed

    def test_key_costs_one_statement_and_none_without_it(self, api):
        api("POST", "/api/tasks", BODY)
        with CaptureQueriesContext(connection) as without:
            api("POST", "/api/tasks", BODY)
        with CaptureQueriesContext(connection) as with_a_key:
            api("POST", "/api/tasks", BODY, Idempotency_Key=KEY)
        assert sent(without) == change("INSERT")
        assert sent(with_a_key) == [*change("INSERT"), "INSERT" if connection.vendor == "sqlite" else "SET"]

    def test_key_that_was_deleted_meanwhile_is_tried_again(self, monkeypatch):
        create, left = services._create_with_key, [1]

        def overtaken(*arguments):
            if left:
                left.pop()
                raise services.IntegrityError
            return create(*arguments)

        monkeypatch.setattr(services, "_create_with_key", overtaken)
        task, repeated = services.create_task_once(owner_id=1, title="Read", duration=30, key=KEY)
        assert (Task.objects.get().id, repeated) == (task.id, False)


CREATOR = """
import sys, django
django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import connection
from tasks.services import create_task_once
def create(_):
    try:
        task, repeated = create_task_once(owner_id=1, title="Read", duration=30, key="k")
        return f"{task.id} {task.version} {repeated}"
    finally:
        connection.close()
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    print(*pool.map(create, range(int(sys.argv[1]))), sep="\\n")
"""


@pytest.mark.sqlite
def test_of_32_at_once_in_two_processes_one_makes_the_task(own_database):
    command = [sys.executable, "-c", CREATOR, str(AT_ONCE // 2)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, env=own_database, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = "".join(process.communicate(timeout=60)[0] for process in processes).splitlines()
    made = [line for line in lines if line.endswith("False")]
    assert len(lines) == AT_ONCE
    assert len(made) == 1
    assert {line.rsplit(" ", 1)[0] for line in lines} == {made[0].rsplit(" ", 1)[0]}
