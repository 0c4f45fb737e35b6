import subprocess
import sys
from pathlib import Path

CHATTY = Path(__file__).with_name("programs") / "chatty.py"


def test_closed_pipe_ends_a_command_without_a_word():
    with subprocess.Popen([sys.executable, CHATTY], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout.readline() == b"0\n"
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 0
