"""Run `make up` on a machine that has no programs where only root's PATH looks."""

import sys

from local import programs
from local.__main__ import main

programs.SYSTEM_FOLDERS = ()
sys.exit(main(["up"]))
