from pathlib import Path

import pytest

from local import odbc
from local.errors import CommandError

URL = "mssql://sa:p@host/x"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        (URL, "ODBC Driver 18 for SQL Server"),
        (f"{URL}?driver=ODBC+Driver+17+for+SQL+Server&encrypt=no", "ODBC Driver 17 for SQL Server"),
        (f"{URL}?driver=ODBC%20Driver%2017%20for%20SQL%20Server", "ODBC Driver 17 for SQL Server"),
    ],
)
def test_wanted_driver(url: str, driver: str) -> None:
    assert odbc.wanted_driver(url) == driver


def test_drivers_of_the_machine_stay_visible() -> None:
    text = odbc.with_driver("[FreeTDS]\nDriver=/lib/tds.so\n", "/wheel/18.so")
    assert text == "[FreeTDS]\nDriver=/lib/tds.so\n\n[ODBC Driver 18 for SQL Server]\nDriver=/wheel/18.so\n"
    assert odbc.with_driver("", "/wheel/18.so").startswith("[ODBC")


def test_machine_without_libodbc_is_told_what_to_install(tmp_path: Path) -> None:
    python = tmp_path / "tasks/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\necho \'{"error": "libodbc.so.2: cannot open shared object file"}\'\n', encoding="utf-8"
    )
    python.chmod(0o755)

    with pytest.raises(CommandError, match=r"^libodbc is missing \(libodbc\.so\.2: .*\): install unixODBC \(Debian"):
        odbc.register_driver({"DATABASE_URL": URL, "ENVIRONMENTS": str(tmp_path)})
