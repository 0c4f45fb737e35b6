"""`make restore`: replace the database with a backup, while no stack runs."""

from pathlib import Path

from local import environment, lock, settings
from local.backup import manage, named_file


def main(arguments: list[str]) -> int:
    """Restore the named file."""
    env = environment.load()
    source = named_file(arguments, env)
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    # Hold the lock until the end, so that no stack starts meanwhile. `manage.py restore` refuses a file that is open
    # elsewhere, such as in a stack of another checkout.
    with lock.hold_state(Path(env["RUN_DIR"]), port=port, state=env["STATE_DIR"]):
        print(manage("restore", source, env), flush=True)
    return 0
