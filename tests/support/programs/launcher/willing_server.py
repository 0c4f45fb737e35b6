"""End on SIGTERM, as a program does that does nothing about it."""

import time

print("up", flush=True)
time.sleep(60)
