"""Running the project's programs to completion."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support import processes
from support.paths import CHECKOUT, python

Completed = subprocess.CompletedProcess[str]

PROGRAMS = Path(__file__).parent / "programs"


def run(
    *command: str | Path,
    env: Mapping[str, str],
    cwd: Path = CHECKOUT,
    timeout: float = 120,
    stdin: str = "",
) -> Completed:
    """Run a command with exactly these variables; return its exit code and output.

    On a timeout the whole process group is killed; subprocess.run() would leave descendants behind.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=env, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True, process_group=0
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            processes.kill(processes.in_group(process.pid))
            stdout, stderr = process.communicate(timeout=5)
            raise AssertionError(f"{error}:\n{stdout}{stderr}") from error
        except BaseException:
            processes.kill(processes.in_group(process.pid))
            raise
    return Completed(command, process.returncode, stdout, stderr)


def output_of(completed: Completed) -> str:
    """Return what a command printed; fail with all of its output if it failed."""
    assert completed.returncode == 0, f"{completed.args}: {completed.stdout}{completed.stderr}"
    return completed.stdout


def launcher(command: str, *arguments: str | Path) -> list[str | Path]:
    """Return the command line of one of the launcher's commands, such as "up"; run it in the checkout."""
    return [python("local"), *("-E", "-X", "utf8", "-m", "local"), command, *arguments]


def run_launcher(
    command: str, *arguments: str | Path, env: Mapping[str, str], checkout: Path = CHECKOUT, timeout: float = 120
) -> Completed:
    return run(*launcher(command, *arguments), env=env, cwd=checkout, timeout=timeout)


def program(name: str) -> tuple[str, str]:
    """Return Python's arguments for a program of support/programs, such as "tasks/slow_query".

    As text, since the file does not exist in a container or in a service's folder.
    """
    return "-c", (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")


def run_in_service(service: str, *arguments: str | Path, env: Mapping[str, str], timeout: float = 120) -> Completed:
    """Run a service's Python in its folder, with only PATH and these variables."""
    settings = {"PATH": os.defpath, "DJANGO_SETTINGS_MODULE": f"{service}_service.settings"}
    return run(
        python(service), *arguments, env={**settings, **env}, cwd=CHECKOUT / "services" / service, timeout=timeout
    )


def run_in_launcher(*arguments: str, env: Mapping[str, str], checkout: Path = CHECKOUT, stdin: str = "") -> Completed:
    """Run the launcher's Python in the checkout, where it can import the package."""
    return run(python("local"), *arguments, env=env, cwd=checkout, stdin=stdin)


def manage(*arguments: str, service: str = "tasks", **env: str) -> Completed:
    """Run a service's manage.py, or a program in its Python with -c, with the local stack's variables and ``env``."""
    command = arguments if arguments[0] == "-c" else ("manage.py", *arguments)
    return run_launcher("run", service, "python", *command, env={**os.environ, **env})


def make_logins(**env: str) -> Completed:
    """Run the part of `make database` that SERVICE_LOGINS enables."""
    return run_launcher("database-logins", env={**os.environ, "SERVICE_LOGINS": "1", **env})
