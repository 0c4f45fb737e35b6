"""Run one command: `python -m local COMMAND [argument…]`, from the project's root.

Every failure that a person can mend is one line on standard error and exit code 1.
"""

import importlib
import os
import sys

from local.errors import CommandError

# Each is a module with main(arguments) -> exit code, imported when it is asked for: `preflight` and `clean` run before
# anything is installed.
COMMANDS = {
    "admin": "admin",
    "backup": "backup",
    "clean": "clean",
    "database-logins": "database_logins",
    "demo": "demo",
    "docker-backup": "docker_backup",
    "docker-restore": "docker_restore",
    "docker-up": "docker_up",
    "doctor": "doctor",
    "kubernetes-secrets": "kubernetes_secrets",
    "preflight": "preflight",
    "profile": "profile",
    "restore": "restore",
    "rotate-key": "rotate_key",
    "run": "run",
    "setup": "setup",
    "supervise": "supervise",
    "swarm-down": "swarm.down",
    "swarm-images": "swarm.images",
    "swarm-up": "swarm.up",
    "up": "up",
}


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"error: name one of {', '.join(sorted(COMMANDS))}", file=sys.stderr)
        return 2
    # What is written here, and by the processes started from here, is its owner's alone.
    os.umask(0o077)
    try:
        code: int = importlib.import_module(f"local.{COMMANDS[arguments[0]]}").main(arguments[1:])
        sys.stdout.flush()
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output has closed its end, as head does. Python would say so again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
