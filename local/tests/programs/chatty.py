"""Run a command of local/ whose output exceeds a pipe's capacity."""

import sys
import types

import local.__main__ as entry


def main(arguments: list[str]) -> int:
    for line in range(100_000):
        print(line)
    return 0


module = types.ModuleType("local.chatty")
module.main = main  # type: ignore[attr-defined]
sys.modules["local.chatty"] = module
entry.COMMANDS["chatty"] = "chatty"
sys.exit(entry.main(["chatty"]))
