"""`make kubernetes-secrets`: print the Secrets that deploy/kubernetes uses, filled from .env, for kubectl apply."""

import json
import os
from collections.abc import Mapping

from local import environment
from local.docker_up import refuse_files
from local.env_file import names
from local.environment import CHECKOUT, SERVICES, url_variable

# The same as in docker-compose.yaml.
SQLITE_URL = "sqlite:////data/db.sqlite3"
OWN_KEYS = {"auth": ["AUTH_SECRET_KEY"], "tasks": ["TASKS_SECRET_KEY"],
            "scheduler": ["SCHEDULER_SECRET_KEY", "WEBHOOK_SECRET_KEY"]}  # fmt: skip
REDIS_CONF = 'requirepass "{password}"\nuser probe on nopass -@all +ping\n'


def main(arguments: list[str]) -> int:
    """Print the Secrets as one JSON list."""
    shell = {name: value for name, value in os.environ.items() if value.strip()}
    ours = names((CHECKOUT / ".env.example").read_text(encoding="utf-8"))
    values = environment.choose(ours, shell=shell, written=environment.written(shell))
    refuse_files(values)
    environment.refuse_other_databases(values)
    items = [manifest(name, files) for name, files in secret_files(values).items()]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    return 0


def secret_files(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the files of each Secret, the same as Compose's container `secrets` writes to the volume of that name."""
    password = values["REDIS_PASSWORD"]
    database = values.get("DATABASE_URL", SQLITE_URL)
    shared = {
        "JWT_KEYS": values["JWT_KEYS"],
        "REDIS_URL": values.get("REDIS_URL", f"redis://:{password}@redis:6379/0"),
    }
    services = {
        f"{service}-secrets": {
            **shared,
            "DATABASE_URL": values.get(url_variable(service), database),
            **{key: values[key] for key in OWN_KEYS[service]},
        }
        for service in SERVICES
    }
    redis = {"redis.conf": REDIS_CONF.format(password=password)}
    return {**services, "owner-secrets": {"DATABASE_URL": database}, "redis-secrets": redis}


def manifest(name: str, files: Mapping[str, str]) -> dict[str, object]:
    """Return the manifest of a Secret."""
    metadata = {
        "name": name,
        "namespace": "task-api",
        "labels": {"app.kubernetes.io/part-of": "task-api"},
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(files)}
