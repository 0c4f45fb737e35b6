import subprocess
import sys
import types
from pathlib import Path

import pytest

from local import __main__ as entry
from local.errors import CommandError

ROOT = Path(__file__).resolve().parents[2]
CHATTY = Path(__file__).with_name("programs") / "chatty.py"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command whose ``main`` each test defines."""
    module = types.ModuleType("local.failing")
    monkeypatch.setitem(sys.modules, "local.failing", module)
    monkeypatch.setitem(entry.COMMANDS, "failing", "failing")
    return module


def test_command_error_is_one_line(failing: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def main(arguments: list[str]) -> int:
        raise CommandError(f"GATEWAY_PORT: {arguments}")

    failing.main = main  # type: ignore[attr-defined]
    assert entry.main(["failing", "one", "two"]) == 1
    assert capsys.readouterr() == ("", "error: GATEWAY_PORT: ['one', 'two']\n")


def test_ctrl_c(failing: types.ModuleType) -> None:
    def main(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    failing.main = main  # type: ignore[attr-defined]
    assert entry.main(["failing"]) == 130


def test_closed_pipe_ends_a_command_quietly() -> None:
    command = subprocess.Popen(
        [sys.executable, CHATTY], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    assert command.stderr is not None
    with command:
        assert command.stdout.readline() == b"0\n"
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 0


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["uo"]) == 2
    assert capsys.readouterr().err.startswith("error: name one of admin, ")


@pytest.mark.parametrize("module", entry.COMMANDS.values())
def test_each_command_is_a_module(module: str) -> None:
    assert (ROOT / "local" / module.replace(".", "/")).with_suffix(".py").is_file()
