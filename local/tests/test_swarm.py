"""The conversion of Compose's output into a Swarm's input."""

from typing import Any

import pytest

from local.errors import CommandError
from local.swarm.stack import jobs_of, only, secrets_of, stack_of, without_jobs
from local.swarm.up import refuse_sqlite

MOUNT = {"type": "volume", "source": "auth-secrets", "target": "/run/secrets", "read_only": True, "volume": {}}


def config(**changes: Any) -> dict[str, Any]:
    """Return a small project as `docker compose config` prints it."""
    limits = {"mem_limit": "536870912", "pids_limit": 200}
    job = {**limits, "image": "x-auth", "deploy": {"mode": "replicated-job", "resources": {}}, "volumes": [MOUNT]}
    auth = {
        **limits,
        "image": "x-auth",
        "build": {"context": "."},
        "command": None,
        "depends_on": {"auth-migrate": {"condition": "service_completed_successfully"}},
        "environment": {"LOG_LEVEL": "INFO"},
        "deploy": {"replicas": 2, "resources": {"reservations": {"memory": "1"}}},
        "ports": [{"target": 8080, "published": "8000", "mode": "host"}],
        "tmpfs": ["/tmp:size=16m"],
        "volumes": [MOUNT, {"type": "volume", "source": "data", "target": "/data", "volume": {}}],
    }
    handed = [
        {"source": "auth-secret-key", "target": "/in/auth/AUTH_SECRET_KEY"},
        {"source": "redis-conf", "target": "/in/redis/redis.conf"},
    ]
    return {
        "name": "x",
        "services": {
            **dict.fromkeys(("auth-migrate", "tasks-migrate", "scheduler-migrate"), job),
            "auth": auth | changes,
            "tasks": auth,
            "secrets": {"configs": handed},
        },
        "configs": {
            "auth-secret-key": {"name": "x_auth-secret-key", "content": "a$$b"},
            "redis-conf": {"name": "x_redis-conf", "content": "requirepass c"},
            "database-url": {"name": "x_database-url", "content": "sqlite:////data/db.sqlite3"},
        },
        "networks": {"internal": {"name": "x_internal", "ipam": {}, "driver": "overlay", "internal": True}},
        "volumes": {"data": {"name": "x_data"}, "auth-secrets": {"name": "x_auth-secrets"}},
    }


def stack(**changes: Any) -> dict[str, Any]:
    project = config(**changes)
    return stack_of(project, secrets_of(project, key=b"k"))


def test_a_service_gets_the_secrets_that_the_one_shot_would_hand_to_it_and_no_others() -> None:
    assert stack()["services"]["auth"]["secrets"] == [
        {"source": "auth-secret-key", "target": "/run/secrets/AUTH_SECRET_KEY", "mode": 0o444}
    ]
    assert list(stack()["secrets"]) == ["auth-secret-key"]
    assert "secrets" not in stack()["services"]


def test_limits_are_those_of_compose_beside_the_reservations() -> None:
    resources = stack()["services"]["auth"]["deploy"]["resources"]
    assert resources == {"reservations": {"memory": "1"}, "limits": {"memory": "536870912", "pids": 200}}


def test_only_what_a_swarm_does_not_know_is_left_out() -> None:
    auth = stack()["services"]["auth"]
    assert auth["environment"] == {"LOG_LEVEL": "INFO"}
    assert auth["ports"] == [{"target": 8080, "published": 8000, "mode": "host"}]
    assert auth["volumes"] == [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "tmpfs", "target": "/tmp"},
    ]
    assert not auth.keys() & {"build", "command", "depends_on", "mem_limit", "tmpfs"}
    assert stack()["networks"] == {"internal": {"driver": "overlay", "internal": True}}
    assert stack()["volumes"] == {"data": {}}


def test_a_secrets_name_follows_its_value_and_shows_nothing_of_it() -> None:
    project = config()
    first = secrets_of(project, key=b"k")["auth-secret-key"]
    assert first.value == "a$b"
    assert secrets_of(project, key=b"other")["auth-secret-key"].name != first.name
    project["configs"]["auth-secret-key"]["content"] = "changed"
    assert secrets_of(project, key=b"k")["auth-secret-key"].name != first.name


def test_jobs_are_deployed_one_by_one_and_apart_from_the_rest() -> None:
    assert jobs_of(stack()) == ["auth-migrate", "tasks-migrate", "scheduler-migrate"]
    assert list(only(stack(), "tasks-migrate")["services"]) == ["tasks-migrate"]
    assert list(without_jobs(stack())["services"]) == ["auth", "tasks"]


def test_a_sqlite_file_on_a_volume_is_refused_and_a_shared_one_is_not() -> None:
    project = config()
    with pytest.raises(CommandError, match="DATABASE_URL"):
        refuse_sqlite(project, secrets_of(project, key=b"k"))
    project["services"]["tasks"]["volumes"] = [{"type": "bind", "source": "/shared", "target": "/data"}]
    refuse_sqlite(project, secrets_of(project, key=b"k"))
