"""`make clean`: delete var/, unless a stack runs from it. Requires only the standard library."""

import shutil
from pathlib import Path

from local import lock

VAR = Path(__file__).resolve().parent.parent / "var"


def main(arguments: list[str]) -> int:
    """Delete the folder."""
    with lock.refuse_while_used(VAR):
        if VAR.exists():
            shutil.rmtree(VAR)
    return 0
