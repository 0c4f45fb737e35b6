"""`make rotate-key`: take the next step of a token key rotation, on the running stack and without a restart.

prepare   adds a new key: every service verifies with it, none signs with it
activate  the new key signs; tokens signed with the old one remain valid
retire    removes the old key, once no token signed with it can be valid

A step that would make requests fail is refused. Each step can be interrupted at any point and repeated.
"""

import argparse
import datetime
import http.client
import json
import os
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import jwt

from local import environment, lock
from local.environment import CHECKOUT, SERVICES
from local.errors import CommandError
from local.files import replace_file
from local.key_file import PUBLISHED, STEPS, KeyFile, Keys, created_at, has_time, next_step, take_step
from servicekit.tokens.keys import Key, format_keys

# As in servicekit.tokens, whose verifier needs Django; a test compares them.
REFRESH_LIFETIME = datetime.timedelta(days=7)
KEY_FILE_SECONDS = 1.0

AGREED_WITHIN_SECONDS = 15
# Each probe uses a new connection, which any of the service's processes may accept.
PROBES = 8
# A request to each service whose status shows whether it knows the token's key (200, or 403 without rights) or not
# (401).
CALLS = {"auth": ("POST", "/api/auth/token/verify"), "tasks": ("GET", "/api/tasks"), "scheduler": ("GET", "/api/jobs")}


def main(arguments: list[str]) -> int:
    """Take the step in the argument, by default the next one."""
    parser = argparse.ArgumentParser(prog="make rotate-key", description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("step", nargs="?", choices=("show", *STEPS), metavar="STEP")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args(arguments)
    if options.force and options.step != "retire":
        raise CommandError("FORCE=1 is only for STEP=retire")
    env = environment.load()
    file = key_file(env)
    with file.locked():
        rotate(file, Path(env["RUN_DIR"]), options.step, force=options.force)
    return 0


def key_file(env: Mapping[str, str]) -> KeyFile:
    if os.environ.get("JWT_KEYS", "").strip():
        raise CommandError(
            "JWT_KEYS is set in the shell, where it cannot be changed; unset it, or rotate the keys where it is set"
        )
    path = env.get("JWT_KEYS_FILE")
    if path and "JWT_KEYS" in env:
        raise CommandError("JWT_KEYS and JWT_KEYS_FILE are both set; set one of them")
    if path and not Path(path).is_absolute():
        raise CommandError("JWT_KEYS_FILE: must be an absolute path")
    return KeyFile(Path(path) if path else CHECKOUT / ".env")


def rotate(file: KeyFile, run: Path, step: str | None, *, force: bool) -> None:
    """Take the step, by default the next one; raises CommandError if it is not due."""
    listed = file.read()
    # The services read the operator's own file directly, but for .env they read a copy of its keys.
    published = KeyFile(run / PUBLISHED) if file.is_dotenv else None
    running = lock.running_port(run) is not None
    if running and published:
        catch_up(listed, published)
    due = next_step(listed)
    if len(listed) > 1 and not any(map(has_time, listed)):
        raise CommandError(
            "there are several keys, and none was created by this command, so only you know which is the newest; remove"
            " the others once no token signed with them is valid any more"
        )
    if step == "show":
        show(listed)
        return
    if step not in (None, due):
        raise CommandError(f"the next step is {due}, not {step}")
    if due == "retire" and not force:
        refuse_while_tokens_live(file, published)
    if running and due != "prepare" and not force and (problem := wait_until_agreed(run, known=listed)):
        raise CommandError(f"{problem}; nothing was changed")

    after = take_step(listed, due, now=datetime.datetime.now(datetime.UTC))
    file.write(after)
    if running:
        if published:
            replace_file(published.path, format_keys(after))
        if problem := wait_until_agreed(run, known=after, unknown=tuple(key for key in listed if key not in after)):
            raise CommandError(f"{problem}; the step has been taken, but fix this before the next one")
    print(f"{due}: done")
    show(after)
    if not running:
        print(
            f"No stack runs in {run.parent}: this takes effect when the services are next started.\n"
            "If they run elsewhere (containers), see docs/key-rotation.md before the next step."
        )


def show(listed: Keys) -> None:
    due = next_step(listed)
    for key in listed:
        waits = due == "activate" and key == max(listed, key=created_at)
        print(f"  {key.kid}  {'signs and verifies' if key == listed[0] else 'verifies' + (', will sign' * waits)}")
    print(f"next: make rotate-key STEP={due}")


def catch_up(listed: Keys, published: KeyFile) -> None:
    """Finish an interrupted step, which changed .env but not the copy that the services read."""
    if not published.path.exists():
        raise CommandError("the running stack got its keys from elsewhere; restart it with the keys in .env")
    known = published.read()
    if known == listed:
        return
    if listed[0] not in known or known[0] not in listed:
        raise CommandError("the running stack's keys differ from those in .env; restart it")
    replace_file(published.path, format_keys(listed))
    time.sleep(KEY_FILE_SECONDS)


def refuse_while_tokens_live(file: KeyFile, published: KeyFile | None) -> None:
    # This is the time of the activation or later: any other change of .env restarts the wait.
    activated = max(place.changed_at() for place in (file, published) if place and place.path.exists())
    until = activated + REFRESH_LIFETIME
    if datetime.datetime.now(datetime.UTC) < until:
        raise CommandError(
            f"refresh tokens of the old key may be valid until {until:%Y-%m-%d %H:%M:%S} UTC (seven days after the last"
            f" change of {file.path.name}); FORCE=1 ends the sessions that have not been refreshed since activation"
        )


def wait_until_agreed(run: Path, *, known: Keys, unknown: Keys = ()) -> str | None:
    """Wait until every service accepts the known keys and rejects the unknown ones; return the problem, if any remains.

    Each service is probed, since it may read its keys from another file.
    """
    # A process may use its copy of the keys for this long.
    time.sleep(KEY_FILE_SECONDS)
    deadline = time.monotonic() + AGREED_WITHIN_SECONDS
    for service in SERVICES:
        while problem := find_disagreement(service, run / f"{service}.sock", known, unknown):
            if time.monotonic() > deadline:
                return problem
            time.sleep(0.2)
    return None


def find_disagreement(service: str, path: Path, known: Keys, unknown: Keys) -> str | None:
    for _ in range(PROBES):
        for key in known + unknown:
            status = send_probe(service, path, probe_token(key))
            if status not in (200, 401, 403):
                return f"{service} does not respond as expected (status {status})"
            if (status == 401) == (key in known):
                return f"{service} {'does not verify' if key in known else 'still verifies'} with {key.kid}"
    return None


def send_probe(service: str, path: Path, token: str) -> int:
    """Return the status of a request with the token: 401 if its key is unknown to the service, 0 without a response."""
    method, target = CALLS[service]
    connection = http.client.HTTPConnection(service, timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    body = json.dumps({"token": token}) if method == "POST" else None
    headers = {"Content-Type": "application/json"} if method == "POST" else {"Authorization": f"Bearer {token}"}
    try:
        connection.sock.connect(str(path))
        connection.request(method, target, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def probe_token(key: Key) -> str:
    """Return an access token, valid for 10 s, for a nonexistent user: the largest id of a 64-bit column."""
    now = int(time.time())
    claims = {
        "iss": "auth",
        "aud": "task-api",
        "token_type": "access",
        "user_id": str(2**63 - 1),
        "sid": str(uuid.uuid4()),
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 10,
        "is_staff": False,
    }
    return jwt.encode(claims, key.secret, algorithm="HS256", headers={"kid": key.kid})
