"""`make rotate-key`: the next step of a rotation of the tokens' key, on the running stack and without a restart.

prepare   a new key: every service verifies with it, none signs
activate  the new key signs; tokens signed with the old one remain valid
retire    the old key is removed, once no token signed with it can be valid

A step that would make a request fail is refused. Each may be interrupted at any point and repeated.
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
from local.key_file import PUBLISHED, STEPS, KeyFile, Keys, has_time, made, next_step, take_step
from servicekit.tokens.keys import Key, format_keys

# As in servicekit.tokens, whose verifier needs Django; a test holds them together.
REFRESH_LIFETIME = datetime.timedelta(days=7)
KEY_FILE_SECONDS = 1.0

AGREED_WITHIN_SECONDS = 15
# Each on a connection of its own, which any of a service's processes may take.
PROBES = 8
# A call in each service that tells a token of a known key (200, or 403 for a user without rights) from others (401).
CALLS = {"auth": ("POST", "/api/auth/token/verify"), "tasks": ("GET", "/api/tasks"), "scheduler": ("GET", "/api/jobs")}


def main(arguments: list[str]) -> int:
    """Take the step that the argument names, or the next one."""
    parser = argparse.ArgumentParser(prog="make rotate-key", description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("step", nargs="?", choices=("show", *STEPS), metavar="STEP")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args(arguments)
    if options.force and options.step != "retire":
        raise CommandError("FORCE=1 is for STEP=retire alone")
    env = environment.load()
    file = key_file(env)
    with file.locked():
        rotate(file, Path(env["RUN_DIR"]), options.step, force=options.force)
    return 0


def key_file(env: Mapping[str, str]) -> KeyFile:
    if os.environ.get("JWT_KEYS", "").strip():
        raise CommandError(
            "JWT_KEYS is set in the shell, where nothing can change it; unset it, or rotate where it is set"
        )
    path = env.get("JWT_KEYS_FILE")
    if path and "JWT_KEYS" in env:
        raise CommandError("JWT_KEYS is set, and JWT_KEYS_FILE as well; set one of them")
    if path and not Path(path).is_absolute():
        raise CommandError("JWT_KEYS_FILE: must be an absolute path")
    return KeyFile(Path(path) if path else CHECKOUT / ".env")


def rotate(file: KeyFile, run: Path, step: str | None, *, force: bool) -> None:
    """Take the step, or the next one where none is named; raises CommandError where it is not time for it."""
    listed = file.read()
    # The services read a file of the operator's by themselves; of .env's keys they have a copy.
    published = KeyFile(run / PUBLISHED) if file.is_dotenv else None
    running = lock.running_port(run) is not None
    if running and published:
        catch_up(listed, published)
    due = next_step(listed)
    if len(listed) > 1 and not any(map(has_time, listed)):
        raise CommandError(
            "there are several keys, and none was made by this command: which of them is new only you can tell; leave"
            " the one that is to stay, once no token of the others is valid any more"
        )
    if step == "show":
        show(listed)
        return
    if step not in (None, due):
        raise CommandError(f"the step that comes next is {due}, not {step}")
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
            raise CommandError(f"{problem}; the step is written, and the next will wait until that is mended")
    print(f"{due}: done")
    show(after)
    if not running:
        print(
            f"No stack runs in {run.parent}: this takes effect when the services are started next.\n"
            "Where they run elsewhere (containers), see docs/key-rotation.md before the next step."
        )


def show(listed: Keys) -> None:
    due = next_step(listed)
    for key in listed:
        waits = due == "activate" and key == max(listed, key=made)
        print(f"  {key.kid}  {'signs and verifies' if key == listed[0] else 'verifies' + (', is to sign' * waits)}")
    print(f"next: make rotate-key STEP={due}")


def catch_up(listed: Keys, published: KeyFile) -> None:
    """Finish what a step that was stopped has left: .env was changed, and the services do not know of it."""
    if not published.path.exists():
        raise CommandError("the running stack has its keys from elsewhere; restart it with the keys of .env")
    known = published.read()
    if known == listed:
        return
    if listed[0] not in known or known[0] not in listed:
        raise CommandError("the running stack has other keys than .env; restart it")
    replace_file(published.path, format_keys(listed))
    time.sleep(KEY_FILE_SECONDS)


def refuse_while_tokens_live(file: KeyFile, published: KeyFile | None) -> None:
    # At or after the activation: any other change of .env also restarts the wait.
    activated = max(place.changed_at() for place in (file, published) if place and place.path.exists())
    until = activated + REFRESH_LIFETIME
    if datetime.datetime.now(datetime.UTC) < until:
        raise CommandError(
            f"refresh tokens of the old key may be valid until {until:%Y-%m-%d %H:%M:%S} UTC (seven days after the last"
            f" change of {file.path.name}); FORCE=1 ends the sessions that have not been refreshed since activation"
        )


def wait_until_agreed(run: Path, *, known: Keys, unknown: Keys = ()) -> str | None:
    """Wait until every service verifies with the known keys and not with the others; return what is still wrong."""
    # A process may use its copy of the keys for this long. After that, ask each service, since it may read the keys
    # from another file.
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
            status = ask(service, path, probe_token(key))
            if status not in (200, 401, 403):
                return f"{service} does not answer (status {status})"
            if (status == 401) == (key in known):
                return f"{service} {'does not verify' if key in known else 'still verifies'} with {key.kid}"
    return None


def ask(service: str, path: Path, token: str) -> int:
    """Return the status of a call, which is 401 if the service does not know the token's key; 0 without a response."""
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
    """Return an access token for a few seconds and a user that does not exist: the largest id of a 64-bit column."""
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
