"""Rotate the key, but die before or after the first call of a function of os: `before fsync`, `after replace`."""

import os
import signal
import sys
from typing import Any

from local.__main__ import main

when, name = sys.argv.pop(1), sys.argv.pop(1)
real = getattr(os, name)


def killed(*arguments: Any) -> None:
    if when == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)


setattr(os, name, killed)
main(["rotate-key", *sys.argv[1:]])
