"""The append-only files of the stack's own Redis."""

from pathlib import Path

# The file of Redis 6, and the folder of Redis 7 and newer.
NAMES = ("appendonly.aof", "appendonlydir")


def set_aside(folder: Path) -> Path | None:
    """Rename the files that Redis loads at start, and return the last new name, or None if there are no such files.

    Redis does not start with a damaged file. The content is expendable: messages of jobs whose state is in the
    database, and ended sessions, which auth announces again.
    """
    aside = None
    for name in NAMES:
        path, to = folder / name, folder / f"{name}.damaged"
        if path.exists():
            _remove(to)
            aside = path.rename(to)
    return aside


def _remove(path: Path) -> None:
    for child in path.iterdir() if path.is_dir() else ():
        child.unlink()
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
