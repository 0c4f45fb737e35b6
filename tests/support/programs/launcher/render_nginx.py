"""Write nginx's configuration from the variables as `make up` does; print the path of the nginx that it would run."""

import os

from local import gateway, programs

env = {**os.environ, "NGINX_PROGRAM": programs.find_nginx(os.environ)}
gateway.write(env)
print(env["NGINX_PROGRAM"])
