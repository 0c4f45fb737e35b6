"""Atomic replacement of files."""

import contextlib
import os
import tempfile
from pathlib import Path

from local.errors import CommandError


def replace_file(path: Path, text: str) -> None:
    """Write the file atomically, keeping its owner and mode; a new one is readable by its owner only."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
            try:
                file.write(text.encode())
                with contextlib.suppress(FileNotFoundError):
                    before = path.stat()
                    # Change the owner first, since that may clear mode bits.
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    os.fchmod(file.fileno(), before.st_mode & 0o7777)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
        # Flush the rename to disk before anything relies on it.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
