"""Summarise a program's output in one line."""

import re


def last_line(output: str) -> str:
    """Return what the program said last before it gave up: of a traceback, the exception's message."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    return re.sub(r"^[\w.]*(?:Error|Exception)\w*: ", "", lines[-1])
