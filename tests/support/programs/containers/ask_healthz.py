"""Request /healthz from the container's own server; exit with 0 if it responds."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8000/healthz", timeout=5)
