"""Exit on SIGTERM, which is a program's default."""

import time

print("up", flush=True)
time.sleep(60)
