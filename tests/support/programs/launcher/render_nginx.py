"""Write nginx's configuration as `make up` does, from the variables, and print the nginx that it would run."""

import os

from local import gateway, programs

env = {**os.environ, "NGINX_PROGRAM": programs.find_nginx(os.environ)}
gateway.write(env)
print(env["NGINX_PROGRAM"])
