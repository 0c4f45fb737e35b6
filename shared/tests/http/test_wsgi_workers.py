"""A server's workers after its main process was killed."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs/server.py"


def test_workers_end_with_their_main_process() -> None:
    with subprocess.Popen([sys.executable, PROGRAM], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        for _ in range(2):
            main.stdout.readline()
        main.kill()
        # The workers hold the pipe as well, so it closes when they have exited.
        assert main.communicate(timeout=5)[0] == ""
