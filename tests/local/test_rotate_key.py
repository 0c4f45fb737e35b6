"""`make rotate-key` without a running stack: the changes that it makes, preserves or refuses."""

import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import Completed, launcher, output_of, program, run_in_launcher, run_in_service, run_launcher
from support.environment import shell
from support.paths import CHECKOUT

OLD = "old:" + "o" * 40
DAYS = 24 * 60 * 60

Rotate = Callable[..., Completed]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    environment = shell(STATE_DIR=str(tmp_path / "state"))
    del environment["JWT_KEYS"]
    return environment


@pytest.fixture
def rotate(checkout: Path, environment: dict[str, str]) -> Rotate:
    def run(*arguments: str, **env: str) -> Completed:
        result = run_launcher("rotate-key", *arguments, checkout=checkout, env=environment | env)
        assert "Traceback" not in result.stderr
        return result

    return run


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    path.chmod(0o600)


def kids(path: Path) -> list[str]:
    """Return the kids of the keys, the signing key's first."""
    (value,) = re.findall(r"""^(?:export )?(?:JWT_KEYS=['"]?)?([\w-]+:[^\s'"]*)""", path.read_text(), re.MULTILINE)
    return [entry.partition(":")[0] for entry in value.split(",")]


def refused(result: Completed) -> str:
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def let_days_pass(path: Path, days: float) -> None:
    then = path.stat().st_mtime - days * DAYS
    os.utime(path, (then, then))


def test_three_steps_from_one_key_to_another(checkout: Path, rotate: Rotate) -> None:
    write(checkout / ".env", f"JWT_KEYS={OLD}\n")

    assert rotate().returncode == 0
    old, new = kids(checkout / ".env")
    assert old == "old"
    assert re.fullmatch(r"k\d{8}T\d{6}Z", new)
    assert rotate().returncode == 0
    assert kids(checkout / ".env") == [new, "old"]
    let_days_pass(checkout / ".env", 7.01)
    assert rotate().returncode == 0
    assert kids(checkout / ".env") == [new]
    # Start again, even within the same second in which the last key was created.
    assert rotate().returncode == 0
    assert kids(checkout / ".env")[0] == new


def test_a_named_step_is_taken_only_when_it_is_its_turn(checkout: Path, rotate: Rotate) -> None:
    write(checkout / ".env", f"JWT_KEYS={OLD}\n")
    for turn, others in (
        ("prepare", ("activate", "retire")),
        ("activate", ("prepare", "retire")),
        ("retire", ("prepare", "activate")),
    ):
        before = (checkout / ".env").read_bytes()
        for other in others:
            assert refused(rotate(other)) == f"the next step is {turn}, not {other}"
        assert (checkout / ".env").read_bytes() == before
        if turn != "retire":
            assert rotate(turn).returncode == 0


def test_show_changes_nothing_and_no_output_has_a_secret(checkout: Path, rotate: Rotate) -> None:
    write(checkout / ".env", f"JWT_KEYS={OLD}\n")
    outputs = []
    for arguments in (["show"], [], ["show"], [], ["show"], [], ["retire", "--force"], ["show"]):
        before = (checkout / ".env").read_bytes()
        result = rotate(*arguments)
        outputs.append(result.stdout + result.stderr)
        if arguments == ["show"]:
            assert result.returncode == 0
            assert (checkout / ".env").read_bytes() == before
    secrets = re.findall(r":([\w-]{32,})", "".join([OLD, (checkout / ".env").read_text()]))
    assert len(secrets) == 2
    assert not any(secret in output for secret in secrets for output in outputs)
    assert "will sign" in outputs[2]


def test_the_old_key_is_kept_while_a_refresh_token_of_it_may_live(checkout: Path, rotate: Rotate) -> None:
    write(checkout / ".env", f"JWT_KEYS={OLD}\n")
    rotate("prepare")
    let_days_pass(checkout / ".env", 30)
    rotate("activate")
    let_days_pass(checkout / ".env", 6.99)

    assert refused(rotate("retire")).startswith("refresh tokens of the old key may be valid until 2")
    assert refused(rotate()).startswith("refresh tokens of the old key may be valid until 2")
    assert refused(rotate("--force")) == "FORCE=1 is only for STEP=retire"
    assert len(kids(checkout / ".env")) == 2
    assert rotate("retire", "--force").returncode == 0
    assert len(kids(checkout / ".env")) == 1


def test_the_command_knows_the_times_of_the_services() -> None:
    ours = run_in_launcher(*program("launcher/rotation_times"), env=os.environ)
    theirs = run_in_service("auth", *program("auth/token_times"), env={})
    assert output_of(ours) == output_of(theirs)


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
def test_every_other_byte_and_the_mode_stay(checkout: Path, rotate: Rotate, before: str, after: str) -> None:
    write(checkout / ".env", f"{before}{OLD}{after}")
    (checkout / ".env").chmod(0o640)

    assert rotate("prepare").returncode == 0

    written = (checkout / ".env").read_bytes().decode()
    assert re.fullmatch(f"{re.escape(before + OLD)},k[0-9TZ]+:[A-Za-z0-9_-]{{64}}{re.escape(after)}", written)
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o640
    assert sorted(path.name for path in checkout.glob(".env*")) == [".env", ".env.example"]


def test_a_file_of_keys_alone_is_changed_in_the_place_of_env(checkout: Path, rotate: Rotate, tmp_path: Path) -> None:
    write(checkout / ".env", "LOG_LEVEL=INFO\n")
    (tmp_path / "secrets").mkdir()
    write(tmp_path / "secrets/keys", f"{OLD}\n")
    # Through a symlink, as orchestrators mount secrets; it remains a symlink.
    (tmp_path / "link").symlink_to("secrets/keys")

    assert rotate("prepare", JWT_KEYS_FILE=str(tmp_path / "link")).returncode == 0

    assert (tmp_path / "link").is_symlink()
    assert re.fullmatch(f"{OLD},k[0-9TZ]+:[A-Za-z0-9_-]{{64}}\n", (tmp_path / "secrets/keys").read_text())
    assert (checkout / ".env").read_text() == "LOG_LEVEL=INFO\n"
    assert stat.S_IMODE((tmp_path / "secrets/keys").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "env", "problem"),
    [
        pytest.param(f"JWT_KEYS={OLD}\nJWT_KEYS={OLD}\n", {}, "does not set JWT_KEYS exactly once", id="twice"),
        pytest.param("JWT_KEYS=old:short\n", {}, "the secret of key 1 has fewer than 32 bytes", id="short"),
        pytest.param(f"JWT_KEYS={OLD},{OLD}\n", {}, "key 2 repeats the kid or the secret of another", id="repeated"),
        pytest.param(f'JWT_KEYS="{OLD}\\\\"\n', {}, "without escapes", id="escapes"),
        pytest.param(f"JWT_KEYS={OLD}\n", {"JWT_KEYS": OLD}, "JWT_KEYS is set in the shell", id="in the shell"),
        pytest.param("A=1\n", {"JWT_KEYS_FILE": "keys"}, "JWT_KEYS_FILE: must be an absolute path", id="relative"),
        pytest.param("A=1\n", {"JWT_KEYS_FILE": "/nowhere/keys"}, "cannot be read: No such file", id="no file"),
        pytest.param(f"JWT_KEYS={OLD}\nJWT_KEYS_FILE=/keys\n", {}, "set one of them", id="both"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_left(
    checkout: Path, rotate: Rotate, text: str, env: dict[str, str], problem: str
) -> None:
    write(checkout / ".env", text)

    line = refused(rotate(**env))

    assert problem in line
    assert "o" * 40 not in line
    assert (checkout / ".env").read_text() == text


def test_several_at_once_make_one_key(checkout: Path, environment: dict[str, str]) -> None:
    write(checkout / ".env", f"JWT_KEYS={OLD}\n")
    commands = [
        subprocess.Popen(
            launcher("rotate-key", "prepare"),
            cwd=checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(8)
    ]
    outputs = [command.communicate()[0].decode() for command in commands]

    assert sorted(command.returncode for command in commands) == [0] + [1] * 7
    assert all(
        re.match("prepare: done|error: another command is changing the keys in|error: the next step", text)
        for text in outputs
    )
    assert len(kids(checkout / ".env")) == 2


def test_a_rotation_that_is_killed_leaves_the_old_or_the_new_file(checkout: Path, environment: dict[str, str]) -> None:
    before = f"A=1\nJWT_KEYS={OLD}\nB=2\n"
    outcomes = set()
    # Killed before and after each call that changes the folder, then at arbitrary moments.
    for name in ("fsync", "replace"):
        for when in ("before", "after"):
            write(checkout / ".env", before)
            rotate = (*program("launcher/rotate_and_die"), when, name, "prepare")
            result = run_in_launcher(*rotate, checkout=checkout, env=environment)
            assert result.returncode == -signal.SIGKILL
            outcomes.add(check_whole(checkout / ".env", before))
    for delay in range(20):
        write(checkout / ".env", before)
        command = subprocess.Popen(
            launcher("rotate-key", "prepare"), cwd=checkout, env=environment, stdout=subprocess.DEVNULL
        )
        time.sleep(0.05 + delay / 100)
        command.kill()
        command.wait()
        outcomes.add(check_whole(checkout / ".env", before))
    assert outcomes == {"old", "new"}
    # Remaining temporary files are ignored by git and readable only by their owner.
    left = [path for path in checkout.glob(".env.*") if path.name != ".env.example"]
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
