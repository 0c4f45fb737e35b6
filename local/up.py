"""`make up`: check what a start needs, migrate, run the stack under a supervisor, and say when it can be used.

Each thing that can be wrong before the start is one line and exit code 1.
"""

import contextlib
import fcntl
import grp
import http.client
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keys
from environment import CHECKOUT, SERVICES, StartError, load, own_redis_url, port_of, refuse_taken_port
from odbc import is_sqlserver, register_driver

# As browsers send them (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
# A scheme's own port is left out, so with it an origin would never match.
OWN_PORT = r"(http://(\[[^]]*\]|[^,:\[]+):80|https://(\[[^]]*\]|[^,:\[]+):443)(?![0-9])"
SWAGGER_UI = "var/env/pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"

# Where Debian keeps nginx and only root's PATH looks.
SYSTEM_FOLDERS: tuple[str, ...] = ("/usr/sbin", "/usr/local/sbin")
# As in nginx/nginx.conf; and what a worker process opens beside connections, with room to spare.
WORKER_CONNECTIONS = 10_240
OTHER_FILES = 64
# nginx takes no larger limit.
MAXIMUM_CONNECTIONS = 65_535

READY_WITHIN_SECONDS = 60
REDIS_MINIMUM = (6, 2)


def main() -> int:
    # A line is on the screen before the next process writes its own, also when the output is a file.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        env = load()
        port = port_of(env, "GATEWAY_PORT")
        lock = lock_state(env)
        refuse_taken_port(port, "GATEWAY_PORT")
        env["NGINX_PROGRAM"] = find_nginx()
        if env.get("REDIS_URL") == own_redis_url(env["RUN_DIR"]):
            env["REDIS_PROGRAM"] = find_redis()
        render_nginx(env, port)
        publish_keys(env)
        if is_sqlserver(env):
            register_driver(env)
        migrate(env)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    with lock:
        return supervise(env, port)


def auth_rate_limit(env: dict[str, str]) -> str:
    text = env["AUTH_RATE_LIMIT"].strip()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise StartError(f"AUTH_RATE_LIMIT: must be a whole number from 1, not {text!r}")
    return text


def connections_per_address(env: dict[str, str]) -> str:
    text = env["CONNECTIONS_PER_ADDRESS"].strip()
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > MAXIMUM_CONNECTIONS:
        raise StartError(
            f"CONNECTIONS_PER_ADDRESS: must be a whole number from 1 to {MAXIMUM_CONNECTIONS}, not {text!r}"
        )
    return text


def worker_limits() -> dict[str, str]:
    """Return how many connections each worker process of nginx may have, as far as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WORKER_CONNECTIONS + OTHER_FILES
    if most != resource.RLIM_INFINITY:
        files = min(files, most)
    return {"OPEN_FILES": str(files), "WORKER_CONNECTIONS": str(files - OTHER_FILES)}


def cors_origins(env: dict[str, str]) -> str:
    origins = env["CORS_ORIGINS"].strip()
    if not re.fullmatch(rf"({ORIGIN}(,{ORIGIN})*)?", origins):
        raise StartError(f"CORS_ORIGINS: must be origins such as https://app.example.org,https://…, not {origins!r}")
    if match := re.search(OWN_PORT, origins):
        raise StartError(f"CORS_ORIGINS: must be without the port in {match[0]}, which browsers leave out")
    return origins


def log_format(env: dict[str, str]) -> str:
    name = env["LOG_FORMAT"].strip().lower()
    if name not in ("json", "text"):
        raise StartError(f"LOG_FORMAT: must be json or text, not {name!r}")
    return name


def lock_state(env: dict[str, str]) -> contextlib.AbstractContextManager[object]:
    """Two stacks in one state folder would take each other's sockets; the lock ends with this process."""
    file = Path(env["RUN_DIR"], "lock").open("w")  # noqa: SIM115 - the caller closes it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartError(f"the stack is already running in {env['STATE_DIR']}; stop it, or set STATE_DIR") from None
    # Left by a stack that was killed; nobody listens, and granian would call them taken.
    for left in Path(env["RUN_DIR"]).glob("*.sock"):
        left.unlink()
    return file


def publish_keys(env: dict[str, str]) -> None:
    """Hand the keys of .env to the services in a file, which they read again when `make rotate-key` has changed it."""
    # What the shell holds is its own to change, and what is said twice is for the services to refuse.
    if "JWT_KEYS" not in env or "JWT_KEYS_FILE" in env or os.environ.get("JWT_KEYS", "").strip():
        return
    path = Path(env["RUN_DIR"], keys.PUBLISHED)
    # Read again, under the lock of the state folder: a rotation may have changed them since.
    del env["JWT_KEYS"]
    text = load()["JWT_KEYS"]
    try:
        # The time of the file tells how long these keys have been in use.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            keys.write_file(path, text)
    except (OSError, ValueError, keys.KeysError):
        raise StartError(f"STATE_DIR: {path} cannot be written") from None
    env["JWT_KEYS_FILE"] = str(path)


def find_nginx() -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    found = shutil.which("nginx", path=path) or _from_wheel("nginx")
    if found is None:
        raise StartError("nginx is missing: install nginx 1.22 or newer")
    return found


def find_redis() -> str:
    for candidate in (shutil.which("redis-server"), _from_wheel("redis-server")):
        if candidate is None:
            continue
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\bv=(\d+)\.(\d+)", answer)
        if version and tuple(map(int, version.groups())) >= REDIS_MINIMUM:
            return candidate
    raise StartError("redis-server is missing: install Redis 6.2 or newer, or set REDIS_URL")


def _from_wheel(program: str) -> str | None:
    return shutil.which(CHECKOUT / "var/env/servers/bin" / program)


def render_nginx(env: dict[str, str], port: int) -> None:
    """Fill the gateway's template, as envsubst does in the image, and the small nginx.conf around it."""
    run = env["RUN_DIR"]
    values = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "AUTH_RATE_LIMIT": auth_rate_limit(env),
        "CONNECTIONS_PER_ADDRESS": connections_per_address(env),
        **worker_limits(),
        "LOG_FORMAT": log_format(env),
        "CONSOLE_ROOT": str(CHECKOUT / "console"),
        "CORS_ORIGINS": cors_origins(env),
        "SWAGGER_UI_ROOT": str(CHECKOUT / SWAGGER_UI),
        "RUN_DIR": run,
        # As root, nginx would give its workers another user, who may not open the sockets.
        "USER": f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.getuid() == 0 else "",
    }
    for template in (CHECKOUT / "nginx/gateway.conf.template", CHECKOUT / "local/nginx.conf.template"):
        text = re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], template.read_text(encoding="utf-8"))
        Path(run, template.stem).write_text(text, encoding="utf-8")
    # nginx says which line is wrong, where the supervisor could only say that it ended.
    test = subprocess.run(
        [env["NGINX_PROGRAM"], "-t", "-q", "-e", "stderr", "-c", f"{run}/nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    if test.returncode:
        raise StartError(f"nginx refuses its configuration: {_last_line(test.stderr)}")


def migrate(env: dict[str, str]) -> None:
    for service in SERVICES:
        result = subprocess.run(
            [f"{env['ENVIRONMENTS']}/{service}/bin/python", "manage.py", "migrate", "--noinput"],
            cwd=CHECKOUT / "services" / service,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            reason = _last_line(result.stdout)
            if "no such table" in reason or "Invalid object name" in reason:
                reason += " (an earlier state of the project made it: CHANGELOG.md)"
            raise StartError(f"{service} cannot migrate the database: {reason}")
    print("the database is up to date")


def _last_line(output: str) -> str:
    """What a program said last before it gave up: of a traceback, the exception's message."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    return re.sub(r"^[\w.]*(?:Error|Exception)\w*: ", "", lines[-1])


def supervise(env: dict[str, str], port: int) -> int:
    """Run the supervisor until it ends, and hand on whatever tells us to stop.

    make dies of a Ctrl-C that reaches it, whatever its command answers. So the supervisor gets a process group of its
    own, which is the terminal's foreground while it runs: Ctrl-C goes there and nowhere else. The pipe to it is closed
    by our end in any form, kill -9 included, and the supervisor takes that for a stop.
    """
    supervisor = subprocess.Popen(
        [sys.executable, CHECKOUT / "local/supervise.py"], env=env, stdin=subprocess.PIPE, process_group=0
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda *_: supervisor.send_signal(signal.SIGTERM))
    with terminal_of(supervisor.pid):
        announce(supervisor, env, port)
        code = supervisor.wait()
    if code < 0:
        print(f"error: the supervisor was killed by signal {-code}", file=sys.stderr)
    return 1 if code else 0


@contextlib.contextmanager
def terminal_of(group: int) -> Iterator[None]:
    """Make the group the terminal's foreground, where we are that ourselves; without a terminal, do nothing."""
    try:
        ours = os.tcgetpgrp(0)
    except OSError:
        ours = None
    if ours != os.getpgrp():
        yield
        return
    # Taking the terminal back is what a background group gets SIGTTOU for.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(0, group)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, ours)


def announce(supervisor: subprocess.Popen[bytes], env: dict[str, str], port: int) -> None:
    """Return when the stack answers, or has ended, or has not answered in time; say so in the first and last case."""
    sockets = [Path(env["RUN_DIR"], f"{service}.sock") for service in SERVICES]
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    answer = "nothing"
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(timeout=0.2)
            return
        # Asked any earlier, the gateway would log an error for each service that is still to come.
        if not all(map(listens, sockets)):
            continue
        status, answer = ask_readyz(port)
        if status == 200:
            print_ready(port, stop="Ctrl-C")
            return
    print(f"warning: not ready after {READY_WITHIN_SECONDS} s; /readyz answers {answer}")


def print_ready(port: int, *, stop: str) -> None:
    url = f"http://localhost:{port}"
    register = '{"username": "ada", "password": "correct horse battery staple"}'
    print(
        f"\nReady: {url} (endpoints and examples are on that page)\n"
        f"  first call  curl -sS {url}/api/auth/register -H 'Content-Type: application/json' -d '{register}'\n"
        f"  stop        {stop}\n"
    )


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def ask_readyz(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, f"{response.status} {response.read(2000).decode(errors='replace').strip()}"
    except (OSError, http.client.HTTPException) as error:
        return 0, f"nothing ({error})"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
