"""`make setup`, once the environments are made: .env and the ODBC driver, as the first `make up` would do it."""

import sys

from environment import StartError, load
from odbc import DRIVER, is_sqlserver, register_driver


def main() -> int:
    try:
        env = load()
        if is_sqlserver(env):
            print(f"{DRIVER}: {register_driver(env)}")
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("ready: make up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
