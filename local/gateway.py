"""nginx's configuration for the local run: the gateway's template, and local/nginx.conf.template around it."""

import grp
import os
import pwd
import re
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import settings
from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

TEMPLATES = ("nginx/gateway.conf.template", "local/nginx.conf.template")
# As in nginx/nginx.conf; and what a worker process opens beside connections, with room to spare.
WORKER_CONNECTIONS = 10_240
OTHER_FILES = 64
SWAGGER_UI = "var/env/pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"


def values(env: Mapping[str, str], *, checkout: Path = CHECKOUT) -> dict[str, str]:
    """Return what the templates' places are filled with; raises CommandError for a setting that is not well-formed."""
    return {
        "GATEWAY_LISTEN": f"127.0.0.1:{settings.port('GATEWAY_PORT', env['GATEWAY_PORT'])}",
        "AUTH_RATE_LIMIT": settings.count("AUTH_RATE_LIMIT", env["AUTH_RATE_LIMIT"]),
        "CONNECTIONS_PER_ADDRESS": settings.connections_per_address(env["CONNECTIONS_PER_ADDRESS"]),
        **worker_limits(),
        "LOG_FORMAT": settings.log_format(env["LOG_FORMAT"]),
        "CORS_ORIGINS": settings.cors_origins(env["CORS_ORIGINS"]),
        "CONSOLE_ROOT": as_literal(checkout / "console"),
        "SWAGGER_UI_ROOT": as_literal(checkout / SWAGGER_UI),
        "RUN_DIR": env["RUN_DIR"],
        # As root, nginx would give its workers another user, who may not open the sockets.
        "USER": f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.getuid() == 0 else "",
    }


def worker_limits() -> dict[str, str]:
    """Return how many connections each worker process of nginx may have, as far as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WORKER_CONNECTIONS + OTHER_FILES
    if most != resource.RLIM_INFINITY:
        files = min(files, most)
    return {"OPEN_FILES": str(files), "WORKER_CONNECTIONS": str(files - OTHER_FILES)}


def as_literal(path: Path) -> str:
    """Escape a path for a directive that expands variables. nginx has no escape for $, so a variable stands for it."""
    return str(path).replace("$", "${dollar}")


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill the places of the template, as envsubst does in the image."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], template)


def write(env: Mapping[str, str]) -> None:
    """Write the configuration into the run folder and have nginx check it; raises CommandError."""
    run, filled = Path(env["RUN_DIR"]), values(env)
    for template in (CHECKOUT / name for name in TEMPLATES):
        (run / template.stem).write_text(render(template.read_text(encoding="utf-8"), filled), encoding="utf-8")
    # nginx says which line is wrong, where the supervisor could only say that it ended.
    test = subprocess.run(
        [env["NGINX_PROGRAM"], "-t", "-q", "-e", "stderr", "-c", f"{run}/nginx.conf"],
        env=env,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if test.returncode:
        raise CommandError(f"nginx refuses its configuration: {reason(test.stderr)}")


def reason(output: str) -> str:
    """Return why nginx refuses a configuration; its last line only says that it does."""
    lines = [line for line in output.splitlines() if "[emerg]" in line]
    return last_line("\n".join(lines[:1]) or output)
