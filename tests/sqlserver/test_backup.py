"""`make backup` and `make restore`, if the server supports them: a compatible one may support neither statement."""

import pytest

from support.commands import manage, output_of, program, run_launcher
from support.environment import inherited
from support.sqlserver import DRIVERS, Server

# Babelfish's error. shared/tests/database/backups tests the statements' texts.
UNSUPPORTED = "'{}' is not currently supported in Babelfish"


@pytest.mark.parametrize("driver", DRIVERS)
def test_backup_into_a_file_and_restore_of_it_as_another_database(server: Server, driver: str) -> None:
    url = server.create(python_driver=driver, migrate=("tasks",))
    output_of(manage(*program("tasks/create_longest_task"), DATABASE_URL=url))
    # Without a folder, so the server uses its folder for backups.
    name = f"{url.partition('?')[0].rpartition('/')[2]}.bak"

    backup = run_launcher("backup", name, env=inherited() | {"DATABASE_URL": url})
    if UNSUPPORTED.format("BACKUP") in backup.stderr:
        assert (backup.returncode, backup.stdout, backup.stderr.count("\n")) == (1, "", 1)
    else:
        assert f"TO DISK = N'{name}' WITH COPY_ONLY, CHECKSUM" in output_of(backup)

    existing = run_launcher("restore", name, env=inherited() | {"DATABASE_URL": url})
    assert existing.returncode == 1
    assert " exists, and its contents would be lost" in existing.stderr

    server.drop(url)
    restore = run_launcher("restore", name, env=inherited() | {"DATABASE_URL": url})
    if UNSUPPORTED.format("RESTORE") in restore.stderr:
        assert (restore.returncode, restore.stdout, restore.stderr.count("\n")) == (1, "", 1)
    else:
        assert f"FROM DISK = N'{name}' WITH CHECKSUM" in output_of(restore)
        count = manage(*program("any/execute"), '["SELECT COUNT(*) FROM tasks_task"]', DATABASE_URL=url)
        assert output_of(count).strip() == '[["done", "1"]]'


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_statement_that_reports_its_progress_is_read_to_its_end(server: Server, driver: str) -> None:
    """Stands in for BACKUP, which the server may not support. An error at the end arrives only with the last result."""
    url = server.create(python_driver=driver)

    output = output_of(manage(*program("any/run_to_end"), DATABASE_URL=url))

    assert output.split() == ["1", "True"]
