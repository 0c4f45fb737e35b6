"""Print as JSON, by address, the metrics of every container to which Docker's DNS resolves a name. Usage: NAME PATH."""

import json
import socket
import sys
import urllib.request

name, path = sys.argv[1:]
# Docker's configuration may set a proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
found = {}
for address in sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, 8002, socket.AF_INET)}):
    with opener.open(f"http://{address}:8002{path}", timeout=10) as response:
        found[address] = response.read().decode()
print(json.dumps(found))
