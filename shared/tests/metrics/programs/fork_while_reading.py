"""Fork processes that keep running while a thread reads the metrics repeatedly; print "forked" when done."""

import os
import signal
import threading
from pathlib import Path

from servicekit.metrics import Counter, folder

Counter("requests", "Requests.").inc()
FOLDER = Path(os.environ["METRICS_DIR"])


def read_forever() -> None:
    while True:
        folder.read(FOLDER)


threading.Thread(target=read_forever, daemon=True).start()
# They belong to the process group that the test kills.
for _ in range(20):
    if os.fork() == 0:
        signal.pause()
os.write(1, b"forked\n")
signal.pause()
