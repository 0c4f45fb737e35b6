"""A full disk under `make up`: reads and /readyz work, writes get a 503, and everything recovers by itself."""

import errno
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from support import environment, processes
from support.accounts import Account, register
from support.jobs import request_run
from support.ports import free_port
from support.stack import LocalStack
from support.tokens import make_token
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can mount a disk for one process")

SIZE = "24m"
RECOVERED_WITHIN_SECONDS = 20
# A disk that only the stack sees. Without root this needs a user namespace, in which the user may mount it.
MOUNT = f'mount -t tmpfs -o size={SIZE},mode=700 tmpfs "$STATE_DIR" && exec make up'


class Disk:
    """The stack's file system, accessed from outside its mount namespace."""

    def __init__(self, stack: LocalStack) -> None:
        self._root = Path(f"/proc/{stack.process.pid}/root{stack.state}")
        self.redis_socket = self._root / "run/redis.sock"

    def fill(self) -> None:
        with (self._root / "filler").open("wb", buffering=0) as filler:
            size = 1 << 16
            while size:
                try:
                    filler.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        (self._root / "filler").unlink()


@pytest.fixture
def stack() -> Iterator[LocalStack]:
    with processes.short_folder("full") as state:
        secret = secrets.token_urlsafe(48)
        env = environment.for_stack(state=state, port=free_port(), secret=secret)
        command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT)
        stack = LocalStack(state, secret=secret, env=env, command=command)
        try:
            yield stack.wait_until_ready()
            stack.stop()
        finally:
            stack.end()


def test_full_disk_stops_writes_alone_and_all_goes_on_once_there_is_room(stack: LocalStack) -> None:
    disk = Disk(stack)
    ada = register(stack, "ada")
    assert create(stack, ada) == 201
    started = stack.output.count("supervisor: ")
    disk.fill()
    # Space that was already allocated still accepts some writes.
    wait_until(lambda: create(stack, ada) == 503, timeout=90, interval=0, what="writes fail")
    refused_by_redis(stack, disk)

    for _ in range(20):
        assert create(stack, ada) == 503
        assert stack.call("GET", "/api/tasks", token=ada.access).status_code == 200
    checks = {name: part["checks"] for name, part in stack.call("GET", "/readyz").json()["services"].items()}
    for service in ("auth", "tasks", "scheduler"):
        assert checks[service].items() >= {"database": "accepts no writes", "redis": "does not respond"}.items()
    # By now Redis or the database has refused requests of each part.
    assert stack.output.count("supervisor: ") == started, stack.output

    disk.free()
    wait_until(lambda: create(stack, ada) == 201, timeout=RECOVERED_WITHIN_SECONDS, what="writes succeed")
    staff = make_token(stack.secret, user_id=str(ada.id), is_staff=True)
    queued = request_run(
        stack, "report-user-tasks", token=staff, refused_by=(409, 503), timeout=RECOVERED_WITHIN_SECONDS
    )
    wait_until(
        lambda: stack.call("GET", queued.headers["Location"], token=staff).json()["state"] == "succeeded",
        timeout=RECOVERED_WITHIN_SECONDS,
        what=lambda: f"the run succeeds:\n{stack.output}",
    )
    assert stack.output.count("supervisor: ") == started, stack.output


def create(stack: LocalStack, account: Account) -> int:
    body = {"title": "Fill the disk", "duration": 5}
    return stack.call("POST", "/api/tasks", token=account.access, json=body).status_code


def refused_by_redis(stack: LocalStack, disk: Disk) -> None:
    """Write to Redis until its file cannot be written; it then also refuses the worker's commands."""
    client = redis.Redis(unix_socket_path=str(disk.redis_socket))

    def refused() -> bool:
        try:
            client.set("filler", b"\0" * 4096)
        except redis.ResponseError as error:
            return str(error).startswith("MISCONF")
        return False

    wait_until(refused, timeout=30, what="Redis refuses writes")
