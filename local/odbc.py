"""Microsoft's ODBC driver for pyodbc, either installed on the machine or from the wheel mssql-python-odbc."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypedDict, cast
from urllib.parse import parse_qs, urlsplit

from local.environment import CHECKOUT
from local.errors import CommandError
from local.output import last_line

DRIVER = "ODBC Driver 18 for SQL Server"
FOLDER = CHECKOUT / "var/odbc"
# Where unixODBC lists its drivers: Debian and Fedora, SUSE, and Homebrew on both processor types.
SYSTEM_FOLDERS = ("/etc", "/etc/unixODBC", "/opt/homebrew/etc", "/usr/local/etc")
PROBE = Path(__file__).with_name("odbc_probe.py")


class Found(TypedDict):
    """The output of the probe."""

    drivers: list[str]
    wheel: str


def is_sqlserver(env: Mapping[str, str]) -> bool:
    """Return whether DATABASE_URL names a SQL Server."""
    return database_url(env).startswith("mssql:")


def database_url(env: Mapping[str, str]) -> str:
    """Return DATABASE_URL, or the content of its file, or an empty string if neither is set."""
    url = env.get("DATABASE_URL", "")
    if not url and (path := env.get("DATABASE_URL_FILE")):
        with suppress(OSError, UnicodeDecodeError):  # The services report these errors.
            url = Path(path).read_text(encoding="utf-8")
    return url.strip()


def wanted_driver(url: str) -> str:
    """Return the driver in the URL, or Microsoft's version 18."""
    return (parse_qs(urlsplit(url).query).get("driver") or [DRIVER])[-1]


def register_driver(env: dict[str, str]) -> str:
    """Change ``env`` so that processes with it find the driver, and return the driver's name and origin.

    unixODBC looks for drivers in one odbcinst.ini, in the folder ODBCSYSINI. If the machine's does not list Driver 18,
    the processes get a copy with the wheel's driver added; nothing outside var/ changes, and no root is needed. Raises
    CommandError.
    """
    wanted, found = wanted_driver(database_url(env)), _probe(env)
    if wanted in found["drivers"] or Path(wanted).is_absolute():
        return f"{wanted}, the machine's own"
    if wanted != DRIVER:
        names = ", ".join(found["drivers"]) or "none"
        raise CommandError(f"DATABASE_URL: driver={wanted} is not installed on this machine, which has {names}")
    if not Path(found["wheel"]).exists():
        raise CommandError(f"{DRIVER} is missing, and no wheel contains it for this system: install Microsoft's")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Replace the file atomically, since several commands may do this concurrently.
    (FOLDER / "odbcinst.ini.new").write_text(
        with_driver(_system_drivers(env, SYSTEM_FOLDERS), found["wheel"]), encoding="utf-8"
    )
    (FOLDER / "odbcinst.ini.new").replace(FOLDER / "odbcinst.ini")
    env |= {"ODBCSYSINI": str(FOLDER), "ODBCINSTINI": "odbcinst.ini"}
    return f"{wanted}, from the wheel mssql-python-odbc"


def with_driver(drivers: str, path: str) -> str:
    """Return the text of an odbcinst.ini with the driver added."""
    return f"{drivers.rstrip()}\n\n[{DRIVER}]\nDriver={path}\n".lstrip()


def _probe(env: Mapping[str, str]) -> Found:
    """Run the probe in a service's Python, which has pyodbc."""
    done = subprocess.run(
        [f"{env['ENVIRONMENTS']}/tasks/bin/python", PROBE], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"cannot look for the ODBC driver: {last_line(done.stderr)}")
    found = json.loads(done.stdout)
    if "error" in found:
        raise CommandError(
            f"libodbc is missing ({found['error']}): install unixODBC (Debian, Ubuntu: apt install unixodbc; "
            "Fedora, RHEL: dnf install unixODBC; macOS: brew install unixodbc)"
        )
    return cast(Found, found)


def _system_drivers(env: Mapping[str, str], folders: Iterable[str]) -> str:
    """Return the content of the machine's odbcinst.ini."""
    named = [env["ODBCSYSINI"]] if "ODBCSYSINI" in env else folders
    for folder in named:
        with suppress(OSError):
            return Path(folder, env.get("ODBCINSTINI", "odbcinst.ini")).read_text(encoding="utf-8", errors="replace")
    return ""
