"""Run `make up` without the folders that only root's PATH contains."""

import sys

from local import programs
from local.__main__ import main

programs.SYSTEM_FOLDERS = ()
sys.exit(main(["up"]))
