"""Print the URLs of the services' logins, or why there are none."""

import json

import environment
import logins

try:
    print(json.dumps(logins.write_urls()))
except environment.StartError as error:
    print(json.dumps(str(error)))
