"""`make setup`, once the environments are made: .env and the ODBC driver, as the first `make up` would do it."""

from local import environment, odbc


def main(arguments: list[str]) -> int:
    """Prepare them, and say so."""
    env = environment.load()
    if odbc.is_sqlserver(env):
        print(f"ODBC driver: {odbc.register_driver(env)}")
    print("ready: make up")
    return 0
