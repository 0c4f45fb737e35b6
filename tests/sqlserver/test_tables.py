"""The reviewed T-SQL of the migrations; a migration that changes it must change this file as well."""

import re

import pytest

from support.commands import manage, output_of
from support.sqlserver import Server

# https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-types-transact-sql
KEY = "bigint NOT NULL PRIMARY KEY IDENTITY (1, 1)"
TIME = "datetimeoffset NOT NULL"

TABLES = {
    ("auth", "accounts"): {
        "accounts_user": {
            "id": KEY,
            "username": "nvarchar(150) COLLATE Latin1_General_100_BIN2 NOT NULL UNIQUE",
            "password": "nvarchar(128) NOT NULL",
            "email": "nvarchar(254) NOT NULL",
            "is_active": "bit NOT NULL",
            "is_staff": "bit NOT NULL",
            "date_joined": TIME,
            "CONSTRAINT accounts_user_username_not_empty": "CHECK (LEN(username) >= 1)",
        },
        "accounts_attemptcount": {
            "key": "nvarchar(64) NOT NULL PRIMARY KEY",
            "failures": "int NOT NULL CONSTRAINT accounts_attemptcount_failures_1f6d9cb1_check CHECK (failures >= 0)",
            "until": TIME,
            "expires_at": TIME,
        },
        "accounts_session": {
            "id": "nvarchar(32) NOT NULL PRIMARY KEY",
            "user_id": "bigint NOT NULL",
            "created_at": TIME,
            "rotated_at": TIME,
            "expires_at": TIME,
            "refresh_jti": "nvarchar(32) NOT NULL",
            "previous_jti": "nvarchar(32) NOT NULL",
            "user_agent": "nvarchar(200) NOT NULL",
            "address": "nvarchar(45) NOT NULL",
        },
        "accounts_endedsession": {
            "session_id": "nvarchar(32) NOT NULL PRIMARY KEY",
            "expires_at": TIME,
        },
    },
    ("tasks", "tasks"): {
        "tasks_task": {
            "id": KEY,
            "owner_id": "bigint NOT NULL",
            "title": "nvarchar(200) NOT NULL",
            "duration": "int NOT NULL",
            "version": "bigint NOT NULL",
            "created_at": TIME,
            "updated_at": TIME,
            "CONSTRAINT tasks_task_title_length": "CHECK ((LEN(title) >= 1 AND LEN(title) <= 200))",
            "CONSTRAINT tasks_task_duration": "CHECK ((duration >= 1 AND duration <= 525600))",
        },
        "tasks_event": {
            "id": KEY,
            "uuid": "nvarchar(32) NOT NULL",
            "type": "nvarchar(20) NOT NULL",
            "owner_id": "bigint NOT NULL",
            "task_id": "bigint NOT NULL",
            "version": "bigint NOT NULL",
            "title": "nvarchar(200) NOT NULL",
            "duration": "int NOT NULL",
            "task_created_at": TIME,
            "task_updated_at": TIME,
            "request_id": "nvarchar(32) NOT NULL",
            "created_at": TIME,
        },
        "tasks_idempotencykey": {
            "id": KEY,
            "owner_id": "bigint NOT NULL",
            "key": "nvarchar(64) NOT NULL",
            "fingerprint": "nvarchar(64) NOT NULL",
            "task_id": "bigint NOT NULL",
            "version": "bigint NOT NULL",
            "created_at": TIME,
            "CONSTRAINT tasks_idempotencykey_once": "UNIQUE (owner_id, key)",
        },
    },
    ("scheduler", "jobs"): {
        "jobs_relay_lease": {
            "id": "int NOT NULL PRIMARY KEY",
            "holder": "nvarchar(32) NOT NULL",
            "beats": "bigint NOT NULL",
            "seen_at": TIME,
        },
        "jobs_run": {
            "id": KEY,
            "job": "nvarchar(64) NOT NULL",
            "slot": TIME,
            "requested_by": "bigint NOT NULL",
            "state": "nvarchar(16) NOT NULL",
            "turn": "bigint NOT NULL",
            "started_at": TIME,
            "finished_at": TIME,
            "outcome": "nvarchar(200) NOT NULL",
            "attempts": "int NOT NULL",
            "holder": "nvarchar(32) NOT NULL",
            "lease": "bigint NOT NULL",
            "losses": "int NOT NULL",
            "done": "bigint NOT NULL",
            "total": "bigint NOT NULL",
            "spent_ms": "bigint NOT NULL",
            "checkpoint": "nvarchar(500) NOT NULL",
            "request_id": "nvarchar(32) NOT NULL",
            "CONSTRAINT jobs_run_once": "UNIQUE (job, slot)",
            "CONSTRAINT jobs_run_one_at_a_time": "UNIQUE (job, turn)",
            "CONSTRAINT jobs_run_state_known": (
                "CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'missed'))"
            ),
            "CONSTRAINT jobs_run_attempts": "CHECK (attempts >= 0)",
        },
    },
    ("scheduler", "webhooks"): {
        "webhooks_endpoint": {
            "id": KEY,
            "owner_id": "bigint NOT NULL",
            "slot": "bigint NOT NULL",
            "creation_key": "nvarchar(64) NOT NULL",
            "creation_hash": "nvarchar(64) NOT NULL",
            "url": "nvarchar(2000) NOT NULL",
            "events": "nvarchar(200) NOT NULL",
            "enabled": "bit NOT NULL",
            "disabled_reason": "nvarchar(16) NOT NULL",
            "secret": "nvarchar(200) NOT NULL",
            "previous_secret": "nvarchar(200) NOT NULL",
            "previous_until": TIME,
            "failures": "int NOT NULL",
            "failing_since": TIME,
            "due_at": TIME,
            "claim": "nvarchar(32) NOT NULL",
            "claimed_until": TIME,
            "created_at": TIME,
            "updated_at": TIME,
            "CONSTRAINT webhooks_endpoint_slot": "UNIQUE (owner_id, slot)",
            "CONSTRAINT webhooks_endpoint_creation": "UNIQUE (owner_id, creation_key)",
            "CONSTRAINT webhooks_endpoint_limit": "CHECK (slot < 10)",
            "CONSTRAINT webhooks_endpoint_reason": "CHECK (((disabled_reason = '' AND enabled = 1)"
            " OR (disabled_reason IN ('owner', 'gone', 'failing') AND enabled = 0)))",
        },
        "webhooks_delivery": {
            "id": KEY,
            "message_id": "nvarchar(32) NOT NULL",
            "type": "nvarchar(20) NOT NULL",
            "event_id": "bigint NOT NULL",
            "task_id": "bigint NOT NULL",
            "state": "nvarchar(16) NOT NULL",
            "due_at": TIME,
            "attempts": "int NOT NULL",
            "attempted_at": TIME,
            "status": "int NOT NULL",
            "latency_ms": "int NOT NULL",
            "error": "nvarchar(200) NOT NULL",
            "response": "nvarchar(200) NOT NULL",
            "created_at": TIME,
            "endpoint_id": "bigint NOT NULL",
            "CONSTRAINT webhooks_delivery_once": "UNIQUE (endpoint_id, message_id)",
            "CONSTRAINT webhooks_delivery_state": "CHECK (state IN ('pending', 'delivered', 'dead'))",
        },
        "webhooks_position": {"id": "int NOT NULL PRIMARY KEY", "event_id": "bigint NOT NULL"},
        "webhooks_gap": {
            "id": KEY,
            "first_id": "bigint NOT NULL",
            "last_id": "bigint NOT NULL",
            "seen_at": TIME,
        },
    },
}
AFTERWARDS = {
    ("auth", "accounts"): [
        "ALTER TABLE accounts_session ADD CONSTRAINT accounts_session_user_id_d5aaed01_fk_accounts_user_id"
        " FOREIGN KEY (user_id) REFERENCES accounts_user (id)",
        "CREATE INDEX accounts_attemptcount_expires_at_c0f57527 ON accounts_attemptcount (expires_at)",
        "CREATE INDEX accounts_endedsession_expires_at_c1ad02dc ON accounts_endedsession (expires_at)",
        "CREATE INDEX accounts_session_user_id_d5aaed01 ON accounts_session (user_id)",
    ],
    ("tasks", "tasks"): [
        "CREATE INDEX tasks_task_newest ON tasks_task (owner_id, created_at DESC, id DESC)",
    ],
    ("scheduler", "jobs"): [
        "CREATE INDEX jobs_run_newest ON jobs_run (slot DESC, id DESC)",
        "CREATE INDEX jobs_run_state ON jobs_run (state, slot DESC, id DESC)",
    ],
    ("scheduler", "webhooks"): [
        "ALTER TABLE webhooks_delivery ADD CONSTRAINT"
        " webhooks_delivery_endpoint_id_6cbee67d_fk_webhooks_endpoint_id"
        " FOREIGN KEY (endpoint_id) REFERENCES webhooks_endpoint (id)",
        "CREATE INDEX webhooks_delivery_due ON webhooks_delivery (endpoint_id, state, due_at)",
        "CREATE INDEX webhooks_delivery_newest ON webhooks_delivery (endpoint_id, created_at DESC, id DESC)",
        "CREATE INDEX webhooks_delivery_order ON webhooks_delivery (endpoint_id, task_id, event_id)",
        "CREATE INDEX webhooks_endpoint_due ON webhooks_endpoint (due_at)",
    ],
}


@pytest.fixture(scope="module")
def database(server: Server) -> str:
    return server.create()


@pytest.fixture(params=TABLES, ids=lambda part: part[1])
def statements(request: pytest.FixtureRequest, database: str) -> tuple[tuple[str, str], list[str]]:
    """The statements of the initial migration, without the brackets around names."""
    service, app = request.param
    output = output_of(manage("sqlmigrate", app, "0001", service=service, DATABASE_URL=database))
    lines = re.sub(r"[\[\]]", "", output).replace("  ", " ").splitlines()
    words = [line.rstrip(";") for line in lines if not line.startswith(("--", "BEGIN", "COMMIT"))]
    return request.param, words


def test_columns_and_constraints(statements: tuple[tuple[str, str], list[str]]) -> None:
    part, lines = statements
    made = {}
    for line in lines:
        if table := re.fullmatch(r"CREATE TABLE (\w+) \((.*)\)", line):
            # A comma inside parentheses does not separate columns.
            pieces = re.split(r", (?=(?:CONSTRAINT )?\w+ (?:[a-z]+\b|CHECK|UNIQUE))", table[2])
            made[table[1]] = dict(re.fullmatch(r"((?:CONSTRAINT )?\w+) (.*)", piece).groups() for piece in pieces)
    assert made == TABLES[part]


def test_keys_and_indexes_after_them(statements: tuple[tuple[str, str], list[str]]) -> None:
    part, lines = statements
    # Django creates them in no fixed order.
    assert sorted(line for line in lines if not line.startswith("CREATE TABLE")) == sorted(AFTERWARDS[part])


def test_no_column_is_of_unlimited_length_or_of_another_encoding(
    statements: tuple[tuple[str, str], list[str]],
) -> None:
    for line in statements[1]:
        assert not re.search(r"\((max)\)|\b(char|varchar|text|ntext|datetime|datetime2)\b", line, re.IGNORECASE), line
