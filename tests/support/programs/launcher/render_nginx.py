"""Write nginx's configuration as `make up` does, from the variables, and print the nginx that it would run."""

import os

import up

env = {**os.environ, "NGINX_PROGRAM": up.find_nginx()}
up.render_nginx(env, int(env["GATEWAY_PORT"]))
print(env["NGINX_PROGRAM"])
