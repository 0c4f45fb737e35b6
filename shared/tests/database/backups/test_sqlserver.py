"""The text of the statements for SQL Server. tests/sqlserver sends them to a server."""

import pytest

from servicekit.database.backups import sqlserver


@pytest.mark.parametrize(
    ("target", "compressed", "statement"),
    [
        (
            "/backups/it's.bak",
            True,
            "BACKUP DATABASE [a]]b] TO DISK = N'/backups/it''s.bak' WITH COPY_ONLY, CHECKSUM, COMPRESSION, INIT",
        ),
        (
            "C:\\backups\\100 %.bak",
            False,
            "BACKUP DATABASE [a]]b] TO DISK = N'C:\\backups\\100 %.bak' WITH COPY_ONLY, CHECKSUM, INIT",
        ),
        (
            "https://account.blob.core.windows.net/backups/tasks.bak",
            True,
            "BACKUP DATABASE [a]]b] TO URL = N'https://account.blob.core.windows.net/backups/tasks.bak'"
            " WITH COPY_ONLY, CHECKSUM, COMPRESSION",
        ),
        (
            "s3://host:9000/bucket/tasks.bak",
            False,
            "BACKUP DATABASE [a]]b] TO URL = N's3://host:9000/bucket/tasks.bak' WITH COPY_ONLY, CHECKSUM",
        ),
    ],
)
def test_backup(target, compressed, statement):
    assert sqlserver.backup_statement(name="a]b", target=target, compressed=compressed) == statement


def test_restore_overwrites_nothing():
    assert (
        sqlserver.restore_statement(name="a]b", source="/backups/it's.bak")
        == "RESTORE DATABASE [a]]b] FROM DISK = N'/backups/it''s.bak' WITH CHECKSUM"
    )


@pytest.mark.parametrize(
    ("engine", "edition", "expected"),
    [
        (3, "Developer Edition (64-bit)", True),
        (2, "Standard Edition (64-bit)", True),
        (8, "SQL Azure", True),
        (2, "Web Edition (64-bit)", False),
        (4, "Express Edition (64-bit)", False),
    ],
)
def test_compression_where_the_edition_has_it(engine, edition, expected):
    assert sqlserver.compresses(engine, edition) is expected
