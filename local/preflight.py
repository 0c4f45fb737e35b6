"""Check that the port of `make up` is free, before anything is installed. Requires only the standard library.

Installing takes a minute on a slow network, and a taken port is the likeliest reason for a first start to fail.
"""

import os
import re
from pathlib import Path

from local.lock import running_port
from local.network import refuse_taken_port

CHECKOUT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Raise CommandError if a program other than this checkout's own stack uses the port."""
    port = likely_port(os.environ.get("GATEWAY_PORT", ""), CHECKOUT / ".env")
    # If it is this stack that is running, the start itself reports that, with the folder's name.
    if running_port(CHECKOUT / "var/run") != port:
        refuse_taken_port(port, "GATEWAY_PORT")
    return 0


def likely_port(shell: str, dotenv: Path) -> int:
    """Return the port from the shell or a simple search in .env, which leaves unusual forms to the start itself."""
    written = dotenv.read_text(encoding="utf-8", errors="replace") if dotenv.is_file() else ""
    found = re.findall(r"""^(?:export )?GATEWAY_PORT=["']?([0-9]{1,5})["']?[ \t]*$""", written, re.MULTILINE)
    for text in (shell.strip(), *found[-1:]):
        if text.isdecimal() and 0 < int(text) < 65536:
            return int(text)
    return 8000
