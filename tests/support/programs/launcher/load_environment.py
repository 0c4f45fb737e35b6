"""Print the variables that the launcher gives to the stack's processes."""

import json

from local import environment

print(json.dumps(environment.load()))
