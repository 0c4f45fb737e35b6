from pathlib import Path

import pytest

from local import lock
from local.errors import CommandError


def test_state_folder_in_use(tmp_path: Path) -> None:
    assert lock.running_port(tmp_path) is None
    with lock.hold_state(tmp_path, port=8123, state="var"):
        assert lock.running_port(tmp_path) == 8123
        with (
            pytest.raises(CommandError, match=r"^the stack is already running in var; "),
            lock.hold_state(tmp_path, port=8124, state="var"),
        ):
            pass
    assert lock.running_port(tmp_path) is None


def test_folder_in_use(tmp_path: Path) -> None:
    with (
        lock.use(tmp_path),
        lock.use(tmp_path),
        pytest.raises(CommandError, match=r"^the stack is running from var/"),
        lock.refuse_while_used(tmp_path),
    ):
        pass
    with lock.refuse_while_used(tmp_path):
        pass


def test_nothing_to_protect(tmp_path: Path) -> None:
    with lock.refuse_while_used(tmp_path / "var"):
        pass
