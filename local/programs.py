"""Finding nginx and redis-server: the machine's own if they are new enough, else those from wheels."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from local.environment import CHECKOUT, REDIS_URL_VARIABLES, own_redis_url
from local.errors import CommandError

# Debian installs nginx in a folder that is only in root's PATH.
SYSTEM_FOLDERS: Sequence[str] = ("/usr/sbin", "/usr/local/sbin")
FROM_WHEELS = CHECKOUT / "var/env/servers/bin"


@dataclass(frozen=True)
class Program:
    """A program, the option and pattern for its version, and the minimum version."""

    name: str
    option: str
    version: str
    minimum: tuple[int, int]
    advice: str

    def find(self, candidates: Iterable[str | None]) -> str:
        """Return the first candidate that is new enough; raises CommandError."""
        for candidate in filter(None, candidates):
            if is_new_enough(self.output_of(candidate), self.version, self.minimum):
                return candidate
        raise CommandError(self.advice)

    def output_of(self, path: str, option: str = "") -> str:
        """Return the output of the program with the option, by default its version's; empty if it cannot be run."""
        try:
            done = subprocess.run(
                [path, option or self.option], capture_output=True, text=True, errors="replace", check=False, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout + done.stderr


# nginx 1.19.5 added -e, which keeps it from opening a log file that only root may write.
NGINX = Program(
    name="nginx",
    option="-v",
    version=r"\bnginx/(\d+)\.(\d+)",
    minimum=(1, 22),
    advice="nginx is missing: install nginx 1.22 or newer",
)
REDIS = Program(
    name="redis-server",
    option="--version",
    version=r"\bv=(\d+)\.(\d+)",
    minimum=(6, 2),
    advice="redis-server is missing: install Redis 6.2 or newer, or set REDIS_URL",
)


# Modules that TLS and TRUSTED_PROXIES need.
OPTIONAL_MODULES = ("http_ssl_module", "http_v2_module", "http_realip_module")


def is_new_enough(output: str, version: str, minimum: tuple[int, int]) -> bool:
    """Return whether the version in a program's output is at least the minimum."""
    found = re.search(version, output)
    return found is not None and (int(found[1]), int(found[2])) >= minimum


def version(program: Program, path: str) -> tuple[int, int]:
    """Return the version of the program at this path."""
    found = re.search(program.version, program.output_of(path))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def missing_modules(nginx: str, modules: Iterable[str]) -> list[str]:
    """Return the modules that this nginx was built without."""
    built = NGINX.output_of(nginx, "-V").split()
    return [module for module in modules if f"--with-{module}" not in built]


def needed_modules(env: Mapping[str, str]) -> list[str]:
    """Return the optional modules of nginx that the settings need."""
    ssl, http2, realip = OPTIONAL_MODULES
    return [ssl, http2] * bool(env.get("TLS_CERTIFICATE_FILE")) + [realip] * bool(env.get("TRUSTED_PROXIES"))


def find_nginx(env: Mapping[str, str]) -> str:
    """Return the path of nginx; raises CommandError if there is none or it lacks a module that the settings need."""
    path = os.pathsep.join([env.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    nginx = NGINX.find([shutil.which("nginx", path=path), _from_wheel("nginx")])
    if missing := missing_modules(nginx, needed_modules(env)):
        raise CommandError(f"{nginx} was built without {', '.join(missing)}, which TLS or TRUSTED_PROXIES needs")
    return nginx


def find_redis(env: Mapping[str, str]) -> str:
    """Return the path of redis-server; raises CommandError if there is none."""
    return REDIS.find([shutil.which("redis-server", path=env.get("PATH", os.defpath)), _from_wheel("redis-server")])


def needs_redis(env: Mapping[str, str]) -> bool:
    """Return whether the stack runs its own Redis."""
    return env.get("REDIS_URL") == own_redis_url(env["RUN_DIR"]) and not all(map(env.get, REDIS_URL_VARIABLES))


def _from_wheel(name: str) -> str | None:
    return shutil.which(FROM_WHEELS / name)
