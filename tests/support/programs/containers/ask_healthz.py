"""Ask the container's own server for /healthz; the exit code says whether it answers."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8000/healthz", timeout=5)
