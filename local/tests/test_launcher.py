import os
import subprocess
from pathlib import Path

import pytest

from local import launcher
from local.launcher import groups


def test_groups_that_were_started_and_have_not_ended() -> None:
    assert groups("+11\n+12\n-11\n+13\n-13\n") == {12}


def test_late_stack_has_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """If Redis or the disk keeps the stack from being ready, a part that exits does not stop the other parts."""
    monkeypatch.setattr(launcher, "READY_WITHIN_SECONDS", 0)
    read, hold = os.pipe()
    with subprocess.Popen(["sleep", "0.2"]) as supervisor:
        launcher.announce(supervisor, hold, {"RUN_DIR": str(tmp_path)}, 1)
    os.close(hold)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "started\n"
    assert capsys.readouterr().out == "warning: not ready after 0 s; /readyz returned nothing\n"
