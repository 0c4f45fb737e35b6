"""`make profile` and `make docker-profile`: record a flame graph of a part with py-spy.

py-spy reads the memory of the part's processes, which need neither extra code nor a restart. It pauses each for about a
millisecond, a hundred times per second.
"""

import shlex
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from local import environment, settings
from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line
from local.swarm.engine import docker

# Text in the command line of each part's first process.
PARTS = {
    "auth": "auth_service.wsgi:application",
    "tasks": "tasks_service.wsgi:application",
    "scheduler": "scheduler_service.wsgi:application",
    "worker": "-m scheduler_service worker",
    "sender": "-m scheduler_service sender",
    "beat": "-m scheduler_service beat",
    "relay": "manage.py relay",
}
LONGEST_SECONDS = 3600

FOLDER = CHECKOUT / "var/profiles"
PROGRAM = CHECKOUT / "var/env/profile/bin/py-spy"
# Containers run Linux on every machine.
PROGRAM_FOR_CONTAINERS = CHECKOUT / "var/env/profile-linux/bin/py-spy"
# Runs in the helper container. py-spy comes from standard input and the graph goes to standard output, so that nothing
# is mounted. Process 1 is the init that Compose adds, and its child is the part.
SCRIPT = """\
cat >/tmp/py-spy && chmod u+x /tmp/py-spy && pid=$(cut -d " " -f 1 /proc/1/task/1/children) &&
/tmp/py-spy "$@" --output /tmp/graph.svg --pid "$pid" >/dev/null && cat /tmp/graph.svg"""


def main(arguments: list[str]) -> int:
    """Profile a part; the arguments are where it runs (machine, containers), its name, and the number of seconds."""
    place, part, text = arguments
    if part not in PARTS:
        raise CommandError(f"SERVICE: must be one of {', '.join(PARTS)}, not {part!r}")
    seconds = settings.count("SECONDS", text, maximum=LONGEST_SECONDS)
    options = ["record", "--subprocesses", "--function", "--duration", seconds]
    path = FOLDER / f"{part}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.svg"
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw = draw_in_container if place == "containers" else draw_on_machine
    draw(part, options, path)
    print(f"profile: {path.relative_to(CHECKOUT)} (open it in a browser)")
    return 0


def draw_on_machine(part: str, options: list[str], path: Path) -> None:
    """Profile a part of `make up`; raises CommandError."""
    command = [str(PROGRAM), *options, "--output", str(path), "--pid", str(find_process(part))]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        path.unlink(missing_ok=True)
        raise CommandError(reason(done.stderr, again=shlex.join(["sudo", *command])))


def find_process(part: str) -> int:
    """Return the id of the part's first process; raises CommandError."""
    try:
        supervisor = int(Path(environment.load()["RUN_DIR"], "supervisor.pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CommandError("the stack is not running: make up") from None
    ps = shutil.which("ps") or "/bin/ps"
    # -ww: do not cut lines to the terminal's width, which a shell may export as COLUMNS.
    listing = subprocess.run([ps, "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    found = first_process(listing.stdout.splitlines(), parent=supervisor, word=PARTS[part])
    if found is None:
        raise CommandError(f"{part} is not running: make up")
    return found


def first_process(lines: Iterable[str], *, parent: int, word: str) -> int | None:
    """Return the pid of the parent's child whose command line contains the word; lines are pid, ppid and command."""
    for line in lines:
        pid, ppid, command = (*line.split(maxsplit=2), "", "")[:3]
        if ppid == str(parent) and word in command:
            return int(pid)
    return None


def draw_in_container(part: str, options: list[str], path: Path) -> None:
    """Profile the first replica of a part of `make docker-up` from a helper container; raises CommandError.

    The helper shares the part's process namespace and may trace; the part's own container gets no additional rights.
    """
    replicas = docker("compose", "ps", "--quiet", part).split()
    if not replicas:
        raise CommandError(f"{part} is not running: make docker-up")
    image = docker("inspect", "--format", "{{.Image}}", replicas[0]).strip()
    helper = [
        *("docker", "run", "--rm", "--interactive", "--network", "none", "--read-only"),
        *("--tmpfs", "/tmp:exec"),  # noqa: S108 - in the container, removed with it
        *("--pid", f"container:{replicas[0]}", "--user", "root", "--cap-drop", "ALL", "--cap-add", "SYS_PTRACE"),
        *("--security-opt", "no-new-privileges", "--memory", "256m", "--entrypoint", "sh"),
        *(image, "-c", SCRIPT, "py-spy", *options),
    ]
    with PROGRAM_FOR_CONTAINERS.open("rb") as program:
        done = subprocess.run(helper, stdin=program, capture_output=True, check=False)
    if done.returncode:
        raise CommandError(reason(done.stderr.decode(errors="replace"), again="as root"))
    path.write_bytes(done.stdout)


def reason(complaint: str, *, again: str) -> str:
    """Return one line about why there is no graph; ``again`` is the command to run if tracing was not permitted."""
    if "No stack counts found" in complaint:
        return "it was idle all the time; send it requests while profiling"
    if "ermission" in complaint:
        return f"only root may trace processes on this machine: {again}"
    errors = [line for line in complaint.splitlines() if line.startswith("Error: ")]
    return errors[0] if errors else last_line(complaint)
