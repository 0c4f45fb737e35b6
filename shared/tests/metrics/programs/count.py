"""Count to the given number, also in a forked process if "fork" is given; print "counted", and keep running."""

import os
import sys

from servicekit.metrics import Counter, Gauge, Histogram

NUMBER = int(sys.argv[1])

requests = Counter("requests", "Requests.", ["route"]).labels("/tasks")
durations = Histogram("duration_seconds", "Durations.", buckets=(0.5, 1.0))
active = Gauge("active", "In progress.", multiprocess_mode="livesum")
seen_at = Gauge("seen_timestamp_seconds", "Last seen.", multiprocess_mode="mostrecent")


def count() -> None:
    for _ in range(NUMBER):
        requests.inc()
        durations.observe(0.75)
    active.inc(NUMBER)
    seen_at.set(NUMBER)


count()
if "fork" in sys.argv and os.fork() == 0:
    count()
    # Further metrics let the file grow beyond its first size, while earlier ones are still counted.
    for number in range(1000):
        Counter(f"further_{number}", "Nothing.").inc()
    requests.inc()
    os.write(1, b"forked\n")
    sys.stdin.read()
    os._exit(0)
os.write(1, b"counted\n")
sys.stdin.read()
