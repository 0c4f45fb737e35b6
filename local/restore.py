"""`make restore`: the database of a backup in place of the present one, while no stack runs."""

from pathlib import Path

from local import environment, lock, settings
from local.backup import manage, named_file


def main(arguments: list[str]) -> int:
    """Restore the named file."""
    env = environment.load()
    source = named_file(arguments, env)
    port = settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    # Held to the end, so that no stack starts meanwhile. Another checkout has the file open, which is refused as well.
    with lock.hold_state(Path(env["RUN_DIR"]), port=port, state=env["STATE_DIR"]):
        print(manage("restore", source, env), flush=True)
    return 0
