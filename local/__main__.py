"""Run one command: `python -m local COMMAND [argument…]`, from the project's root.

Every failure that a user can fix is reported as one line on standard error, with exit code 1.
"""

import importlib
import os
import sys

from local.errors import CommandError

# Each is a module with main(arguments) -> exit code, imported only when it runs: `preflight` and `clean` run before
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
    # Files that this process and its children create are accessible to their owner only.
    os.umask(0o077)
    try:
        code: int = importlib.import_module(f"local.{COMMANDS[arguments[0]]}").main(arguments[1:])
        sys.stdout.flush()
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of the output has closed the pipe, as head does. Avoid a second error when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
