"""Print the URLs of the services' logins, or the error."""

import json

from local import database_logins
from local.errors import CommandError

try:
    print(json.dumps(database_logins.write_urls()))
except CommandError as error:
    print(json.dumps(str(error)))
