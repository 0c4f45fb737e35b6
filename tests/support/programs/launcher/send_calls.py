"""Send the demo's calls that standard input describes, and print each as a curl command."""

import json
import sys

from local import demo

port, tokens, described = json.load(sys.stdin)
calls = [demo.Call(*call) for call in described]
print(json.dumps([demo.as_curl(call, f"http://localhost:{port}") for call in calls]))
for call in calls:
    demo.send(call, port, tokens)
