"""Print the demo's calls that standard input describes as curl commands, then send them."""

import json
import sys

from local import demo

url, tokens, described = json.load(sys.stdin)
calls = [demo.Call(*call) for call in described]
print(json.dumps([demo.as_curl(call, url) for call in calls]))
for call in calls:
    demo.send(call, url, tokens)
