"""Print more than a pipe holds."""

from servicekit.process.pipes import ends_quietly

with ends_quietly():
    for line in range(100_000):
        print(line)
