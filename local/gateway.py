"""nginx's configuration for the local stack: the gateway's template within local/nginx.conf.template."""

import grp
import os
import pwd
import re
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import programs, settings
from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

TEMPLATES = (
    *("nginx/gateway.conf.template", "nginx/tls.conf.template", "nginx/trusted-proxies.conf.template"),
    "local/nginx.conf.template",
)
# nginx 1.25.1 added the directive http2, and has warned about the parameter of listen since.
HTTP2_DIRECTIVE = (1, 26)
# As in nginx/nginx.conf; and the other files that a worker process opens, with room to spare.
WORKER_CONNECTIONS = 10_240
OTHER_FILES = 64
SWAGGER_UI = "var/env/pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"


def values(env: Mapping[str, str], *, checkout: Path = CHECKOUT) -> dict[str, str]:
    """Return the values of the templates' placeholders; raises CommandError for a malformed setting."""
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    return {
        "GATEWAY_LISTEN": settings.listen(env["GATEWAY_ADDRESS"], port),
        "AUTH_RATE_LIMIT": settings.count("AUTH_RATE_LIMIT", env["AUTH_RATE_LIMIT"]),
        "CONNECTIONS_PER_ADDRESS": settings.connections_per_address(env["CONNECTIONS_PER_ADDRESS"]),
        **tls_values(env),
        **proxy_values(env),
        **worker_limits(),
        "LOG_FORMAT": settings.log_format(env["LOG_FORMAT"]),
        "CORS_ORIGINS": settings.cors_origins(env["CORS_ORIGINS"]),
        "METRICS_LOG": f"syslog:server=unix:{env['RUN_DIR']}/metrics.sock,nohostname,tag=gateway",
        "CONSOLE_ROOT": as_literal(checkout / "console"),
        "SWAGGER_UI_ROOT": as_literal(checkout / SWAGGER_UI),
        "RUN_DIR": env["RUN_DIR"],
        # As root, nginx would run its workers as another user, who may not open the sockets.
        "USER": f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};" if os.getuid() == 0 else "",
    }


def tls_values(env: Mapping[str, str]) -> dict[str, str]:
    """Return the values for nginx/tls.conf.template, and the directive that includes it if TLS is on."""
    certificate, key = env.get("TLS_CERTIFICATE_FILE", ""), env.get("TLS_KEY_FILE", "")
    port = settings.port("TLS_PORT", env["TLS_PORT"])
    if certificate or key:
        settings.check_certificate(certificate, key)
    return {
        "INCLUDE_TLS": f'include "{env["RUN_DIR"]}/tls.conf";' if certificate else "",
        "TLS_LISTEN": f"{settings.listen(env['GATEWAY_ADDRESS'], port)} ssl backlog=4096{http2(env)}",
        "TLS_PORT": str(port),
        "TLS_CERTIFICATE_FILE": as_literal(Path(certificate)),
        "TLS_KEY_FILE": as_literal(Path(key)),
    }


def http2(env: Mapping[str, str]) -> str:
    """Return the text after the address in ``listen`` that enables HTTP/2 in this version of nginx."""
    return "; http2 on" if programs.version(programs.NGINX, env["NGINX_PROGRAM"]) >= HTTP2_DIRECTIVE else " http2"


def proxy_values(env: Mapping[str, str]) -> dict[str, str]:
    """Return the values for nginx/trusted-proxies.conf.template, and the directive that includes it if needed."""
    proxies = settings.trusted_proxies(env["TRUSTED_PROXIES"])
    return {
        "INCLUDE_TRUSTED_PROXIES": f'include "{env["RUN_DIR"]}/trusted-proxies.conf";' if proxies else "",
        "SET_REAL_IP_FROM": " ".join(f"set_real_ip_from {proxy};" for proxy in proxies),
        "TRUSTED_PROXIES_AS_GEO": " ".join(f"{proxy} yes;" for proxy in proxies),
        "CLIENT_SCHEME": "$forwarded_scheme" if proxies else "$scheme",
    }


def worker_limits() -> dict[str, str]:
    """Return the limits of open files and connections per nginx worker process, within those of the machine."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = WORKER_CONNECTIONS + OTHER_FILES
    if most != resource.RLIM_INFINITY:
        files = min(files, most)
    return {"OPEN_FILES": str(files), "WORKER_CONNECTIONS": str(files - OTHER_FILES)}


def as_literal(path: Path) -> str:
    """Escape a path for a directive that expands variables. nginx cannot escape $, so a variable replaces it."""
    return str(path).replace("$", "${dollar}")


def render(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its placeholders filled, as envsubst does in the image."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], template)


def write(env: Mapping[str, str]) -> None:
    """Write the configuration into the run folder and have nginx check it; raises CommandError."""
    run, filled = Path(env["RUN_DIR"]), values(env)
    for template in (CHECKOUT / name for name in TEMPLATES):
        (run / template.stem).write_text(render(template.read_text(encoding="utf-8"), filled), encoding="utf-8")
    # nginx reports the faulty line; the supervisor could only report that nginx exited.
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
    """Return why nginx refuses a configuration. The reason is not in its last line."""
    lines = [line for line in output.splitlines() if "[emerg]" in line]
    return last_line("\n".join(lines[:1]) or output)
