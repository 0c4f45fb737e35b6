import time

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db.backends.signals import connection_created
from prometheus_client import REGISTRY

COUNT = "db_client_operation_duration_seconds_count"
SUM = "db_client_operation_duration_seconds_sum"
ERRORS = "db_client_errors_total"


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.fixture
def cursor(db):
    with connection.cursor() as cursor:
        yield cursor


def test_each_statement_is_counted_with_its_time(cursor):
    connection.connection.create_function("pause", 0, lambda: time.sleep(0.05))
    count, total = value(COUNT), value(SUM)
    cursor.execute("SELECT pause()")
    cursor.execute("SELECT %s", [1])
    assert value(COUNT) - count == 2
    assert 0.05 <= value(SUM) - total < 5


def test_statement_is_counted_once_after_the_connection_was_opened_again(cursor):
    # Django sends this signal each time it opens a connection. It does not close a database in memory.
    connection_created.send(sender=type(connection), connection=connection)
    count = value(COUNT)
    cursor.execute("SELECT 1")
    assert value(COUNT) - count == 1


def test_error_is_counted_by_its_class_and_raised(cursor):
    cursor.execute("CREATE TEMPORARY TABLE numbers (number integer UNIQUE)")
    cursor.execute("INSERT INTO numbers VALUES (1)")
    before = value(ERRORS, error_type="IntegrityError"), value(ERRORS, error_type="OperationalError")
    with pytest.raises(IntegrityError):
        cursor.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(OperationalError):
        cursor.execute("SELECT * FROM nowhere")
    assert value(ERRORS, error_type="IntegrityError") - before[0] == 1
    assert value(ERRORS, error_type="OperationalError") - before[1] == 1
