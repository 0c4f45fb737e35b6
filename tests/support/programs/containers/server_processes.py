"""Print the ids of the container's server processes that handle requests, or send the named signal to the first.

A process handles requests if its parent is itself one of the server's processes.
"""

import os
import signal
import sys
from pathlib import Path

parents = {}
for status in Path("/proc").glob("[0-9]*/status"):
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    if b"granian" in (status.parent / "cmdline").read_bytes().split(b"\0")[1]:
        parents[int(fields["Pid"])] = int(fields["PPid"])
processes = [pid for pid, parent in parents.items() if parent in parents]
if len(sys.argv) > 1:
    os.kill(processes[0], signal.Signals[sys.argv[1]])
else:
    print(*processes)
