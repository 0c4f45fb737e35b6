"""A newcomer with a fresh copy of the project, a shell in it per document, and the stack that the README starts."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.environment import without_project
from support.paths import CHECKOUT, copy_project
from support.ports import free_port
from support.processes import in_group, short_folder
from support.waiting import wait_until

from .documents import Command, commands

WITHIN_SECONDS = 120
STOPPED_WITHIN_SECONDS = 20

# The only port besides 8000 that a document opens.
RECEIVER_PORT = "9999"

# Values that differ in each run are masked, and a … in a document matches anything.
MASKS = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "<time>",
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+": "<token>",
    r"\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b": "<uuid>",
    r"\b[0-9a-f]{32}\b": "<id>",
    r"before=[\w-]+": "before=<cursor>",
    r'etag: "\d+"': "etag: <version>",
    # Ids depend on what earlier documents have created.
    r'"(id|webhook_id)":\d+': '"id":<number>',
    r"/api/tasks/\d+": "/api/tasks/<number>",
}


def masked(text: str) -> str:
    for pattern, name in MASKS.items():
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def agrees(*, shown: str, real: str) -> bool:
    """Return whether the response shown in a document matches the real one."""
    pattern = ".*".join(re.escape(part) for part in masked(shown).split("…"))
    return re.fullmatch(pattern, masked(real), re.DOTALL) is not None


@dataclass
class Newcomer:
    """Follows the documents in a copy of the project, on a free port in place of 8000."""

    folder: Path
    port: int
    environment: dict[str, str]
    # The port of a webhook's receiver, in place of RECEIVER_PORT.
    receiver_port: int = field(default_factory=free_port)
    shells: list["subprocess.Popen[str]"] = field(default_factory=list)

    def follow(self, document: Path, *, and_stay: bool = False) -> None:
        """Run every command of the document in one shell, and compare the shown responses with the real ones.

        A README's commands run in its own folder, those of all other documents in the project's. Commands that run
        until stopped are stopped at the end, unless ``and_stay`` is set.
        """
        relative = document.relative_to(CHECKOUT).parent if document.name == "README.md" else Path()
        # In a service's folder, use its own programs and settings.
        service = relative.name if relative.parts[:1] == ("services",) else None
        shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.folder / relative,
            env=self.environment | (self._of_service(service) if service else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.shells.append(shell)
        print("set -euo pipefail", file=shell.stdin)
        for command in commands(document):
            if command.skip_reason is None:
                self._run(command, shell)
        shell.stdin.close()
        shell.wait(timeout=10)
        if not and_stay:
            self.leave()

    def _of_service(self, service: str) -> dict[str, str]:
        """Return the variables that `make up` sets for the service's processes."""
        written = (self.folder / ".env").read_text(encoding="utf-8")
        return {
            **dict(re.findall(r"^([A-Z_]+)=(.+)$", written, re.MULTILINE)),
            "REDIS_URL": f"unix://{self.folder}/var/run/redis.sock",
            "PATH": f"{self.folder}/var/env/{service}/bin:{self.environment['PATH']}",
            # A service alone would listen on 8000.
            "GRANIAN_PORT": str(free_port()),
        }

    def _run(self, command: Command, shell: "subprocess.Popen[str]") -> None:
        file, printed, done = (self.folder / f"var/block.{suffix}" for suffix in ("sh", "output", "done"))
        text = command.text.replace("localhost:8000", f"localhost:{self.port}")
        file.write_text(text.replace(RECEIVER_PORT, str(self.receiver_port)), encoding="utf-8")
        printed.unlink(missing_ok=True)
        done.unlink(missing_ok=True)

        def output() -> str:
            text = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
            text = text.replace(str(self.receiver_port), RECEIVER_PORT)
            return text.replace(f"localhost:{self.port}", "localhost:8000")

        if command.ready_text is None:
            # Not in braces: the next block needs the variables that this one sets.
            print(f". {file} </dev/null >{printed} 2>&1; touch {done}", file=shell.stdin, flush=True)
        else:
            print(f"{{ . {file}; }} </dev/null >{printed} 2>&1 &", file=shell.stdin, flush=True)

        def is_over() -> bool:
            assert shell.poll() is None, f"{command} fails with exit code {shell.returncode}:\n{output()}"
            return done.exists() if command.ready_text is None else command.ready_text in output()

        wait_until(is_over, timeout=WITHIN_SECONDS, interval=0.02, what=lambda: f"{command} ends:\n{output()}")
        if command.ready_text is not None:
            return
        if command.shown is None:
            assert '"type":"/problems/' not in output(), (
                f"{command} gets an error that the document does not show:\n{output()}"
            )
        else:
            assert agrees(shown=command.shown, real=output()), (
                f"{command} gets another response than shown:\n{masked(command.shown)}\n\n{masked(output())}"
            )

    def leave(self) -> None:
        """Stop the last document's processes with SIGTERM, since bash ignores SIGINT without a terminal."""
        shell = self.shells.pop()
        shell.stdin.close()
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(timeout=STOPPED_WITHIN_SECONDS)
        wait_until(lambda: not in_group(shell.pid), timeout=STOPPED_WITHIN_SECONDS, what="the document's programs end")


@pytest.fixture(scope="session")
def copy() -> Iterator[Path]:
    """The project like a fresh clone, without .env and state; environments are linked, which saves minutes."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed, and the documents' commands call it")
    with short_folder("newcomer") as folder:
        copy_project(folder)
        yield folder


@pytest.fixture(scope="session")
def newcomer(copy: Path) -> Iterator[Newcomer]:
    port = free_port()
    environment = without_project() | {
        "PYTHON": (copy / "var/env/python").read_text().split()[1],
        "GATEWAY_PORT": str(port),
        "METRICS_PORT": str(free_port()),
        "NO_PROXY": "localhost",
        "LC_ALL": "C.UTF-8",
    }
    person = Newcomer(folder=copy, port=port, environment=environment)
    yield person
    while person.shells:
        person.leave()


@pytest.fixture(scope="session")
def readme(newcomer: Newcomer) -> Newcomer:
    """A newcomer who has followed the README; the stack is running."""
    newcomer.follow(CHECKOUT / "README.md", and_stay=True)
    return newcomer
