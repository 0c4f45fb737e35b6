"""An external Redis: over TLS, with a user per service that may do what the service does and no more."""

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import trustme

from support.accounts import register
from support.paths import CHECKOUT
from support.redis_server import RedisServer, redis_version, running_redis, tls_in_front
from support.stack import LocalStack, running_stack
from support.waiting import wait_until

KEY = "task-api:ended-sessions"
SERVICES = ("auth", "tasks", "scheduler")
# Read-only keys need Redis 7. Before, the scheduler may also write the key, as users.acl explains.
READ_ONLY_KEYS = redis_version() >= (7, 0)


@dataclass
class Secured:
    server: RedisServer
    url: str
    authority: Path

    def of(self, user: str) -> "redis.Redis":
        return self.server.client(username=user, password=f"change-{user}")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("redis")
    users = (CHECKOUT / "deploy/redis/users.acl").read_text()
    (folder / "users.acl").write_text(users if READ_ONLY_KEYS else users.replace("%R~", "~"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        running_redis(folder / "data", "--aclfile", str(folder / "users.acl")) as server,
        tls_in_front(server.port, context) as port,
    ):
        yield Secured(server, f"rediss://USER:change-USER@127.0.0.1:{port}/0", folder / "ca.pem")


@pytest.fixture(scope="module")
def stack(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    urls = {
        f"{name.upper()}_REDIS_URL": f"{secured.url.replace('USER', name)}?ssl_ca_certs={secured.authority}"
        for name in SERVICES
    }
    with running_stack(tmp_path_factory.mktemp("state"), REDIS_URL="redis://unused.invalid", **urls) as running:
        yield running


def test_whole_stack_works_with_a_user_for_each_service_over_tls(stack: LocalStack, secured: Secured) -> None:
    assert stack.call("GET", "/readyz").json()["status"] == "ok"
    user = register(stack, "acl-user")
    # Beat has sent a tick, and the worker has received it.
    wait_until(lambda: any(entry["message"] == "job" for entry in stack.log()), timeout=70, what="a job has run")
    access = user.access
    assert stack.call("POST", "/api/tasks", token=access, json={"title": "a", "duration": 1}).status_code == 201
    stack.call("POST", "/api/auth/logout", json={"refresh": user.refresh})
    wait_until(lambda: stack.call("GET", "/api/tasks", token=access).status_code == 401, timeout=2)
    time.sleep(2)
    refused = [line for line in stack.lines if "NOPERM" in line or "NoPermission" in line]
    assert not refused


@pytest.mark.parametrize("service", SERVICES)
def test_certificate_of_an_unknown_authority_is_refused(secured: Secured, service: str) -> None:
    with pytest.raises(redis.ConnectionError, match="certificate"):
        redis.Redis.from_url(secured.url.replace("USER", service)).ping()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("tasks", ["ZADD", KEY, "1", "x"]),
        ("tasks", ["DEL", KEY]),
        ("tasks", ["LPUSH", "task-api:task-api.jobs", "x"]),
        ("tasks", ["ZRANGEBYSCORE", "task-api:other", "0", "1"]),
        ("auth", ["DEL", KEY]),
        ("auth", ["LPUSH", "task-api:task-api.jobs", "x"]),
        ("auth", ["ZADD", "task-api:unacked_index", "1", "x"]),
        ("scheduler", ["SET", "other-project", "x"]),
        *[(user, command) for user in SERVICES for command in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"])],
        *[(user, command) for user in SERVICES for command in (["ACL", "LIST"], ["GET", "other"], ["SHUTDOWN"])],
        *[("scheduler", ["ZADD", KEY, "1", "x"])] * READ_ONLY_KEYS,
    ],
)
def test_no_user_can_do_more_than_its_service_does(secured: Secured, user: str, command: list[str]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        secured.of(user).execute_command(*command)


def test_only_a_user_of_the_file_gets_in(secured: Secured) -> None:
    with pytest.raises(redis.AuthenticationError):
        secured.server.client().ping()
