"""`make rotate-key` without a running stack: what it writes, what it leaves as it is, and what it refuses."""

import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import CHECKOUT, clean_environment

PYTHON = CHECKOUT / "var/env/local/bin/python"
OLD = "old:" + "o" * 40
DAYS = 24 * 60 * 60

Rotate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    environment = clean_environment(STATE_DIR=str(tmp_path / "state"))
    del environment["JWT_KEYS"]
    return environment


@pytest.fixture
def rotate(copy: Path, environment: dict[str, str]) -> Rotate:
    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [PYTHON, copy / "local/rotate_key.py", *arguments],
            env=environment | env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Traceback" not in result.stderr
        return result

    return run


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    path.chmod(0o600)


def kids(path: Path) -> list[str]:
    """The names of the keys, the signing one first."""
    (value,) = re.findall(r"""^(?:export )?(?:JWT_KEYS=['"]?)?([\w-]+:[^\s'"]*)""", path.read_text(), re.MULTILINE)
    return [entry.partition(":")[0] for entry in value.split(",")]


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def let_days_pass(path: Path, days: float) -> None:
    then = path.stat().st_mtime - days * DAYS
    os.utime(path, (then, then))


def test_three_steps_from_one_key_to_another(copy: Path, rotate: Rotate) -> None:
    write(copy / ".env", f"JWT_KEYS={OLD}\n")

    assert rotate().returncode == 0
    old, new = kids(copy / ".env")
    assert old == "old"
    assert re.fullmatch(r"k\d{8}T\d{6}Z", new)
    assert rotate().returncode == 0
    assert kids(copy / ".env") == [new, "old"]
    let_days_pass(copy / ".env", 7.01)
    assert rotate().returncode == 0
    assert kids(copy / ".env") == [new]
    # And round again, also within the second in which the last was made.
    assert rotate().returncode == 0
    assert kids(copy / ".env")[0] == new


def test_a_named_step_is_taken_only_when_it_is_its_turn(copy: Path, rotate: Rotate) -> None:
    write(copy / ".env", f"JWT_KEYS={OLD}\n")
    for turn, others in (
        ("prepare", ("activate", "retire")),
        ("activate", ("prepare", "retire")),
        ("retire", ("prepare", "activate")),
    ):
        before = (copy / ".env").read_bytes()
        for other in others:
            assert refused(rotate(other)) == f"the step that comes next is {turn}, not {other}"
        assert (copy / ".env").read_bytes() == before
        if turn != "retire":
            assert rotate(turn).returncode == 0


def test_show_changes_nothing_and_no_output_has_a_secret(copy: Path, rotate: Rotate) -> None:
    write(copy / ".env", f"JWT_KEYS={OLD}\n")
    outputs = []
    for arguments in (["show"], [], ["show"], [], ["show"], [], ["retire", "--force"], ["show"]):
        before = (copy / ".env").read_bytes()
        result = rotate(*arguments)
        outputs.append(result.stdout + result.stderr)
        if arguments == ["show"]:
            assert result.returncode == 0
            assert (copy / ".env").read_bytes() == before
    secrets = re.findall(r":([\w-]{32,})", "".join([OLD, (copy / ".env").read_text()]))
    assert len(secrets) == 2
    assert not any(secret in output for secret in secrets for output in outputs)
    assert "is to sign" in outputs[2]


def test_the_old_key_is_kept_while_a_refresh_token_of_it_may_live(copy: Path, rotate: Rotate) -> None:
    write(copy / ".env", f"JWT_KEYS={OLD}\n")
    rotate("prepare")
    let_days_pass(copy / ".env", 30)
    rotate("activate")
    let_days_pass(copy / ".env", 6.99)

    assert refused(rotate("retire")).startswith("refresh tokens of the old key may be valid until 2")
    assert refused(rotate()).startswith("refresh tokens of the old key may be valid until 2")
    assert refused(rotate("--force")) == "FORCE=1 is for STEP=retire alone"
    assert len(kids(copy / ".env")) == 2
    assert rotate("retire", "--force").returncode == 0
    assert len(kids(copy / ".env")) == 1


def test_the_command_knows_the_times_of_the_services() -> None:
    def printed(environment: str, code: str) -> str:
        python = CHECKOUT / f"var/env/{environment}/bin/python"
        return subprocess.run(
            [python, "-c", code], cwd=CHECKOUT / "local", capture_output=True, check=True
        ).stdout.decode()

    theirs = printed(
        "auth",
        "from servicekit.tokens import keyring, verifier;"
        "print(verifier.LIFETIME_SECONDS['refresh'], keyring.REREAD_SECONDS)",
    )
    ours = printed(
        "local", "import rotate_key as r; print(int(r.REFRESH_LIFETIME.total_seconds()), r.KEY_FILE_SECONDS)"
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("# Keys.\nA=1\nJWT_KEYS=", "\nB='x # y'  # comment\n\n", id="in the middle"),
        pytest.param("JWT_KEYS='", "' # first signs\nB=$A\n", id="single quotes and a comment"),
        pytest.param('export JWT_KEYS="', '"', id="export, double quotes, no newline at the end"),
        pytest.param("A=1\r\nJWT_KEYS=", "\r\nB=2\r\n", id="CRLF"),
        pytest.param("A=é\n# JWT_KEYS=k:none\nJWT_KEYS = ", "   \nMY_JWT_KEYS=x\n", id="spaces and look-alikes"),
    ],
)
def test_every_other_byte_and_the_mode_stay(copy: Path, rotate: Rotate, before: str, after: str) -> None:
    write(copy / ".env", f"{before}{OLD}{after}")
    (copy / ".env").chmod(0o640)

    assert rotate("prepare").returncode == 0

    written = (copy / ".env").read_bytes().decode()
    assert re.fullmatch(f"{re.escape(before + OLD)},k[0-9TZ]+:[A-Za-z0-9_-]{{64}}{re.escape(after)}", written)
    assert stat.S_IMODE((copy / ".env").stat().st_mode) == 0o640
    assert sorted(path.name for path in copy.glob(".env*")) == [".env", ".env.example"]


def test_a_file_of_keys_alone_is_changed_in_the_place_of_env(copy: Path, rotate: Rotate, tmp_path: Path) -> None:
    write(copy / ".env", "LOG_LEVEL=INFO\n")
    (tmp_path / "secrets").mkdir()
    write(tmp_path / "secrets/keys", f"{OLD}\n")
    # Through a link, as orchestrators mount secrets; the link stays one.
    (tmp_path / "link").symlink_to("secrets/keys")

    assert rotate("prepare", JWT_KEYS_FILE=str(tmp_path / "link")).returncode == 0

    assert (tmp_path / "link").is_symlink()
    assert re.fullmatch(f"{OLD},k[0-9TZ]+:[A-Za-z0-9_-]{{64}}\n", (tmp_path / "secrets/keys").read_text())
    assert (copy / ".env").read_text() == "LOG_LEVEL=INFO\n"
    assert stat.S_IMODE((tmp_path / "secrets/keys").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "env", "problem"),
    [
        pytest.param(f"JWT_KEYS={OLD}\nJWT_KEYS={OLD}\n", {}, "does not set JWT_KEYS exactly once", id="twice"),
        pytest.param("A=1\n", {}, "does not set JWT_KEYS exactly once", id="not at all"),
        pytest.param("JWT_KEYS=old:short\n", {}, "key 1 is not kid:secret", id="short"),
        pytest.param(f"JWT_KEYS={OLD},{OLD}\n", {}, "key 2 repeats the kid or the secret of another", id="repeated"),
        pytest.param(f'JWT_KEYS="{OLD}\\\\"\n', {}, "without escapes", id="escapes"),
        pytest.param(f"JWT_KEYS={OLD}\n", {"JWT_KEYS": OLD}, "JWT_KEYS is set in the shell", id="in the shell"),
        pytest.param("A=1\n", {"JWT_KEYS_FILE": "keys"}, "JWT_KEYS_FILE: must be an absolute path", id="relative"),
        pytest.param("A=1\n", {"JWT_KEYS_FILE": "/nowhere/keys"}, "cannot be read: No such file", id="no file"),
        pytest.param(f"JWT_KEYS={OLD}\nJWT_KEYS_FILE=/keys\n", {}, "set one of them", id="both"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_left(
    copy: Path, rotate: Rotate, text: str, env: dict[str, str], problem: str
) -> None:
    write(copy / ".env", text)

    line = refused(rotate(**env))

    assert problem in line
    assert "o" * 40 not in line
    assert (copy / ".env").read_text() == text


def test_several_at_once_make_one_key(copy: Path, environment: dict[str, str]) -> None:
    write(copy / ".env", f"JWT_KEYS={OLD}\n")
    commands = [
        subprocess.Popen(
            [PYTHON, copy / "local/rotate_key.py", "prepare"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(8)
    ]
    outputs = [command.communicate()[0].decode() for command in commands]

    assert sorted(command.returncode for command in commands) == [0] + [1] * 7
    assert all(
        re.match("prepare: done|error: the keys in .* are being changed|error: the step", text) for text in outputs
    )
    assert len(kids(copy / ".env")) == 2


def test_a_rotation_that_is_killed_leaves_the_old_or_the_new_file(copy: Path, environment: dict[str, str]) -> None:
    before = f"A=1\nJWT_KEYS={OLD}\nB=2\n"
    outcomes = set()
    # Stopped at each call that changes the folder, and at moments of no choice.
    code = (
        "import os, signal, sys; sys.path.insert(0, 'local'); import rotate_key\n"
        "kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "real = getattr(os, sys.argv[1])\n"
        "setattr(os, sys.argv.pop(1), (lambda *a: (real(*a), kill())) if sys.argv.pop(1) == 'after' else kill)\n"
        "rotate_key.main()"
    )
    for name in ("fsync", "replace"):
        for when in ("before", "after"):
            write(copy / ".env", before)
            result = subprocess.run([PYTHON, "-c", code, name, when, "prepare"], cwd=copy, env=environment, check=False)
            assert result.returncode == -signal.SIGKILL
            outcomes.add(check_whole(copy / ".env", before))
    for delay in range(20):
        write(copy / ".env", before)
        command = subprocess.Popen(
            [PYTHON, copy / "local/rotate_key.py", "prepare"], env=environment, stdout=subprocess.DEVNULL
        )
        time.sleep(0.05 + delay / 100)
        command.kill()
        command.wait()
        outcomes.add(check_whole(copy / ".env", before))
    assert outcomes == {"old", "new"}
    # What is left besides is kept out of the repository, and out of others' sight.
    left = [path for path in copy.glob(".env.*") if path.name != ".env.example"]
    assert left
    assert {stat.S_IMODE(path.stat().st_mode) for path in left} == {0o600}
    names = [path.name for path in left]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert sorted(ignored.stdout.split()) == sorted(names)


def check_whole(path: Path, before: str) -> str:
    text = path.read_text()
    if text == before:
        return "old"
    assert re.fullmatch(rf"A=1\nJWT_KEYS={OLD},k[0-9TZ]+:[\w-]{{64}}\nB=2\n", text)
    return "new"
