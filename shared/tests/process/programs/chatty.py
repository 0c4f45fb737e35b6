"""Print more than a pipe holds."""

import sys

from servicekit.process.pipes import ends_quietly

with ends_quietly():
    for line in range(100_000):
        sys.stdout.write(f"{line}\n")
