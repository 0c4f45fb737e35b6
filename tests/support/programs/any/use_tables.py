"""Insert a row into each of the service's tables; print as JSON the statements by which the service uses them.

The statements are those of the ORM, which for each model reads all rows and creates, changes and deletes a second one,
and those of the operations in the named file. All changes are rolled back.
"""

import datetime
import json
import runpy
import sys
import uuid
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.apps import apps
from django.db import connection, models, router, transaction

from servicekit.database.sqlite.base import Batch

NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)
# Values that satisfy a CHECK, and the owner that the operations query for.
VALUES: dict[str, Any] = {
    "jobs_run.state": "succeeded",
    "webhooks_delivery.state": "pending",
    "webhooks_endpoint.disabled_reason": "",
    "tasks_task.owner_id": 7,
}

sent: list[dict[str, Any]] = []


def record(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
    statements = sql.with_parameters(parameters) if isinstance(sql, Batch) else [(sql, parameters or ())]
    for statement, values in statements:
        # Savepoints belong to the transaction that is rolled back.
        if "SAVEPOINT" not in statement:
            sent.append({"sql": statement.strip().replace("%s", "?"), "parameters": list(values)})
    return execute(sql, parameters, many, context)


def value(field: "models.Field[Any, Any]", number: int) -> Any:
    """Return a value for the column that varies with ``number`` where the column may be unique."""
    known = VALUES.get(f"{field.model._meta.db_table}.{field.column}")
    if known is not None:
        return known
    if isinstance(field, models.ForeignKey):
        return field.related_model._default_manager.order_by("pk").values_list("pk", flat=True)[0]
    if isinstance(field, models.BooleanField):
        return True
    if isinstance(field, models.DateTimeField):
        return NOW
    if isinstance(field, models.UUIDField):
        return uuid.UUID(int=number)
    if isinstance(field, models.IntegerField):
        return number
    return f"{field.column} {number}"[-(field.max_length or 100) :]


def create(model: type[models.Model], number: int) -> models.Model:
    given = (models.AutoField, models.BigAutoField)
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, given)]
    made = model(**{field.attname: value(field, number) for field in fields})
    made.save(force_insert=True)
    return made


def use(model: type[models.Model]) -> None:
    list(model._default_manager.all())
    row = create(model, 2)
    row.save(force_update=True)
    # Skips Django's cascade to other models' rows that refer to this one: there are none.
    model._default_manager.filter(pk=row.pk)._raw_delete(connection.alias)


def in_order(left: list[type[models.Model]]) -> list[type[models.Model]]:
    """Return the models in an order in which each follows those that it refers to."""
    found: list[type[models.Model]] = []
    while left:
        found += [model for model in left if not referred_to(model) & {*left} - {model}]
        left = [model for model in left if model not in found]
    return found


def referred_to(model: type[models.Model]) -> set[Any]:
    return {field.related_model for field in model._meta.concrete_fields}


# The service's own tables, determined as in manage.py database_login.
migrated = [model for app in apps.get_app_configs() for model in router.get_migratable_models(app, connection.alias)]
own = in_order([model for model in migrated if model._meta.managed])
for model in own:
    create(model, 1)
with transaction.atomic():
    with connection.execute_wrapper(record):
        for model in own:
            use(model)
        for operation in runpy.run_path(sys.argv[1])["operations"].values():
            operation()
    transaction.set_rollback(True)
# Times in the format of Django's adapter for SQLite.
print(json.dumps(sent, default=lambda time: time.isoformat(" ")))
