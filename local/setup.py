"""The last part of `make setup`: create .env and register the ODBC driver, as the first `make up` would."""

from local import environment, odbc


def main(arguments: list[str]) -> int:
    """Prepare both, and report it."""
    env = environment.load()
    if odbc.is_sqlserver(env):
        print(f"ODBC driver: {odbc.register_driver(env)}")
    print("ready: make up")
    return 0
