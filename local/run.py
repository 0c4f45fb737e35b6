"""Run a program of one environment in its part's folder, with the local stack's variables: ``run.py auth-dev mypy``."""

import os
import sys

import environment
import odbc


def main() -> None:
    name, program, *arguments = sys.argv[1:]
    try:
        env = environment.load()
        if odbc.is_sqlserver(env):
            odbc.register_driver(env)
    except environment.StartError as error:
        sys.exit(f"error: {error}")
    part = name.removesuffix("-dev")
    os.chdir(environment.CHECKOUT / (f"services/{part}" if part in environment.SERVICES else part))
    path = f"{env['ENVIRONMENTS']}/{name}/bin/{program}"
    os.execve(path, [path, *arguments], env)


if __name__ == "__main__":
    main()
