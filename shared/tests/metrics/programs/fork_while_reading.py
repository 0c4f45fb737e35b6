"""Fork processes that live on, while a thread reads the numbers again and again; print "forked" when it is done."""

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
# They are of the group that the test ends.
for _ in range(20):
    if os.fork() == 0:
        signal.pause()
os.write(1, b"forked\n")
signal.pause()
