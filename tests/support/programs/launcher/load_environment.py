"""Print the variables that the launcher gives to the stack's processes."""

import json

import environment

print(json.dumps(environment.load()))
