"""Summaries of a program's output."""

import re


def last_line(output: str) -> str:
    """Return the last line of the output of a program that failed; of a traceback, the exception's message."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    return re.sub(r"^[\w.]*(?:Error|Exception)\w*: ", "", lines[-1])
