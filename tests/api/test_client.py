"""A client generated from the document can do everything that a user does."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.paths import CHECKOUT
from support.stack import Stack

PASSWORD = "one more correct staple"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("client")
    # Not formatted, since the generated code is not read.
    (folder / "config.yml").write_text("post_hooks: []\npackage_name_override: task_api\n")
    result = subprocess.run(
        [
            *(Path(sys.executable).parent / "openapi-python-client", "generate", "--meta", "none"),
            *("--path", CHECKOUT / "console/openapi.json", "--config", "config.yml", "--output-path", "task_api"),
            "--fail-on-warning",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module("task_api")
    sys.path.remove(str(folder))


def call(client: Any, operation: str, **arguments: Any) -> Any:
    """Call an operation; return the typed response and its headers."""
    (module,) = [
        module
        for tag in ("auth", "tasks", "jobs", "webhooks", "health")
        if (module := _module(f"task_api.api.{tag}.{operation}")) is not None
    ]
    return module.sync_detailed(client=client, **arguments)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def test_every_operation_is_a_function_of_the_client(client: ModuleType, document) -> None:
    names = {operation["operationId"] for operations in document["paths"].values() for operation in operations.values()}
    made = {path.stem for path in Path(client.__file__).parent.glob("api/*/*.py")} - {"__init__"}
    assert {name.replace("_", "") for name in made} == {name.lower() for name in names}


def test_a_user_goes_the_whole_way(client: ModuleType, stack: Stack) -> None:
    with ExitStack() as clients:
        go_the_whole_way(client, stack.url, clients)


def go_the_whole_way(client: ModuleType, url: str, clients: ExitStack) -> None:
    models = importlib.import_module("task_api.models")
    anonymous = clients.enter_context(client.Client(base_url=url))

    registered = call(anonymous, "register", body=models.Registration(username="Grace", password=PASSWORD))
    assert (registered.status_code, registered.parsed.username) == (201, "grace")
    pair = call(anonymous, "log_in", body=models.Credentials(username="grace", password=PASSWORD)).parsed
    assert call(anonymous, "verify_token", body=models.TokenVerification(token=pair.access)).status_code == 200
    grace = clients.enter_context(client.AuthenticatedClient(base_url=url, token=pair.access))

    created = call(grace, "create_task", body=models.NewTask(title="Write the report", duration=90))
    task = created.parsed
    assert (created.status_code, task.title, task.duration) == (201, "Write the report", 90)
    assert created.headers["Location"] == f"/api/tasks/{task.id}"
    assert call(grace, "get_task", task_id=task.id).parsed == task
    unchanged = call(grace, "get_task", task_id=task.id, if_none_match=created.headers["ETag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")

    rename = models.TaskRename(title="Send the report")
    renamed = call(grace, "rename_task", task_id=task.id, body=rename, if_match=created.headers["ETag"])
    assert (renamed.status_code, renamed.parsed.title) == (200, "Send the report")
    stale = call(grace, "replace_task", task_id=task.id, body=rename, if_match=created.headers["ETag"])
    assert (stale.status_code, stale.parsed.type_) == (412, "/problems/precondition-failed")

    assert [shown.id for shown in call(grace, "list_tasks", limit=2).parsed] == [task.id]
    refused = call(grace, "create_task", body=models.NewTask(title=" ", duration=0))
    assert refused.status_code == 400
    assert set(refused.parsed.errors.to_dict()) == {"title", "duration"}
    assert call(grace, "list_jobs").status_code == 403
    assert call(grace, "delete_task", task_id=task.id).status_code == 204
    assert call(grace, "get_task", task_id=task.id).status_code == 404

    changed = call(grace, "update_me", body=models.ProfileChange(email="grace@example.org"))
    assert (changed.parsed.email, call(grace, "get_me").parsed.email) == ("grace@example.org", "grace@example.org")
    next_pair = call(anonymous, "refresh_tokens", body=models.RefreshToken(refresh=pair.refresh)).parsed
    grace = clients.enter_context(client.AuthenticatedClient(base_url=url, token=next_pair.access))
    (session,) = call(grace, "list_sessions").parsed
    assert session.current
    password = models.PasswordChange(current=PASSWORD, new=PASSWORD[::-1])
    assert call(grace, "change_password", body=password).status_code == 204
    assert call(grace, "log_out", body=models.RefreshToken(refresh=next_pair.refresh)).status_code == 204
    assert call(anonymous, "refresh_tokens", body=models.RefreshToken(refresh=next_pair.refresh)).status_code == 401


def test_the_generated_models_hold_what_the_examples_hold(client: ModuleType, document) -> None:
    models = importlib.import_module("task_api.models")
    operation = document["paths"]["/api/jobs"]["get"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"][0]

    assert json.loads(json.dumps(models.Job.from_dict(example).to_dict())) == {
        **example,
        "last_run": models.Run.from_dict(example["last_run"]).to_dict(),
        "next_due": models.Job.from_dict(example).next_due.isoformat(),
    }
