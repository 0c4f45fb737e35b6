"""Microsoft's ODBC driver for pyodbc: the machine's own, or the one in the wheel mssql-python-odbc."""

import json
import subprocess
from contextlib import suppress
from pathlib import Path

from environment import CHECKOUT, StartError

DRIVER = "ODBC Driver 18 for SQL Server"
FOLDER = CHECKOUT / "var/odbc"

# Run by a service's Python, since that is where pyodbc is. The wheel has a driver for each family of systems, and
# mssql-python knows which is this machine's.
PROBE = """
import json, os
try:
    import pyodbc
except ImportError as error:
    print(json.dumps({"error": str(error)}))
else:
    import mssql_python.ddbc_bindings, mssql_python_odbc
    path = mssql_python.ddbc_bindings.GetDriverPathCpp(os.path.dirname(mssql_python_odbc.__file__))
    print(json.dumps({"drivers": pyodbc.drivers(), "wheel": path}))
"""


def is_sqlserver(env: dict[str, str]) -> bool:
    url = env.get("DATABASE_URL", "")
    if not url and (path := env.get("DATABASE_URL_FILE")):
        with suppress(OSError, UnicodeDecodeError):  # Which the services will say of it.
            url = Path(path).read_text(encoding="utf-8")
    return url.strip().startswith("mssql:")


def register_driver(env: dict[str, str]) -> str:
    """Let the processes that get ``env`` find the driver, and return where it is from. Raises StartError.

    unixODBC looks for drivers in one odbcinst.ini, in the folder that ODBCSYSINI names. Where the machine's has none,
    the processes get one of ours; nothing outside var/ is touched, and no root is needed.
    """
    found = subprocess.run(
        [f"{env['ENVIRONMENTS']}/tasks/bin/python", "-c", PROBE], env=env, capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise StartError(f"the ODBC driver cannot be looked for: {found.stderr.strip().splitlines()[-1]}")
    answer = json.loads(found.stdout)
    if "error" in answer:
        raise StartError(
            f"libodbc is missing ({answer['error']}): install unixODBC (Debian, Ubuntu: apt install unixodbc; "
            "Fedora, RHEL: dnf install unixODBC; macOS: brew install unixodbc)"
        )
    if DRIVER in answer["drivers"]:
        return "the machine's own"
    if not Path(answer["wheel"]).exists():
        raise StartError(f"{DRIVER} is missing, and there is none for this system in a wheel: install Microsoft's")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Several commands may do this at once: written aside and renamed, the file is whole at any time.
    (FOLDER / "odbcinst.ini.new").write_text(f"[{DRIVER}]\nDriver={answer['wheel']}\n", encoding="utf-8")
    (FOLDER / "odbcinst.ini.new").replace(FOLDER / "odbcinst.ini")
    env["ODBCSYSINI"] = str(FOLDER)
    return "from the wheel mssql-python-odbc"
