"""The scheduler reads a table of the tasks service: its unmanaged models must fit what the owner's migrations make."""

import json

from .conftest import run

# These are run by each service's own Python, since neither may import the other.
DESCRIBE = """
import json, django
django.setup()
from django.apps import apps
from django.db import connection
print(json.dumps({
    model._meta.db_table: {
        field.column: [field.rel_db_type(connection), field.null] for field in model._meta.concrete_fields
    }
    for model in apps.get_models() if model._meta.managed is MANAGED
}))
"""
READ = """
import json, django
django.setup()
from django.apps import apps
print(json.dumps({
    model._meta.db_table: [list(map(str, row)) for row in model.objects.values_list("owner_id", "title", "duration")]
    for model in apps.get_models() if not model._meta.managed
}))
"""
INSERT_A_TASK = """
import django
django.setup()
from tasks.services import create_task
create_task(owner_id=2**63 - 1, title="x" * 200, duration=525_600)
"""


def test_unmanaged_models_say_what_the_owner_says(environment: dict[str, str]) -> None:
    owned = json.loads(run("tasks", "-c", DESCRIBE.replace("MANAGED", "True"), environment=environment))
    borrowed = json.loads(run("scheduler", "-c", DESCRIBE.replace("MANAGED", "False"), environment=environment))
    assert set(borrowed) == {"tasks_task"}
    for table, columns in borrowed.items():
        assert columns == {column: owned[table].get(column) for column in columns}


def test_unmanaged_models_read_what_the_owner_wrote(environment: dict[str, str]) -> None:
    run("tasks", "manage.py", "migrate", "--noinput", environment=environment)
    run("tasks", "-c", INSERT_A_TASK, environment=environment)
    rows = json.loads(run("scheduler", "-c", READ, environment=environment))
    assert rows == {"tasks_task": [[str(2**63 - 1), "x" * 200, "525600"]]}


def test_the_scheduler_neither_makes_nor_drops_what_it_does_not_own(environment: dict[str, str]) -> None:
    plan = run("scheduler", "manage.py", "sqlmigrate", "jobs", "0001", environment=environment)
    assert "jobs_run" in plan
    assert "tasks_" not in plan
    assert "accounts_" not in plan
