"""The scheduler's unmanaged models match the tables that the owner's migrations create."""

import json

from support.commands import output_of, program, run_in_service


def run(service: str, *arguments: str, environment: dict[str, str]) -> str:
    return output_of(run_in_service(service, *arguments, env=environment))


def test_unmanaged_models_say_what_the_owner_says(environment: dict[str, str]) -> None:
    owned = json.loads(run("tasks", *program("any/describe_models"), "managed", environment=environment))
    borrowed = json.loads(run("scheduler", *program("any/describe_models"), "unmanaged", environment=environment))
    assert set(borrowed) == {"tasks_task", "tasks_event"}
    for table, columns in borrowed.items():
        assert columns == {column: owned[table].get(column) for column in columns}


def test_unmanaged_models_read_what_the_owner_wrote(environment: dict[str, str]) -> None:
    run("tasks", "manage.py", "migrate", "--noinput", environment=environment)
    run("tasks", *program("tasks/create_longest_task"), environment=environment)
    rows = json.loads(run("scheduler", *program("scheduler/read_unmanaged"), environment=environment))
    longest = [[str(2**63 - 1), "x" * 200, "525600"]]
    assert rows == {"tasks_task": longest, "tasks_event": longest}


def test_the_scheduler_neither_makes_nor_drops_what_it_does_not_own(environment: dict[str, str]) -> None:
    for app, own in (("jobs", "jobs_run"), ("webhooks", "webhooks_delivery")):
        plan = run("scheduler", "manage.py", "sqlmigrate", app, "0001", environment=environment)
        assert own in plan
        assert "tasks_" not in plan
        assert "accounts_" not in plan
