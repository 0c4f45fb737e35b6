"""Run a program from an environment in its part's folder, with the local stack's variables: ``run auth-dev mypy``."""

import os

from local import environment, odbc

# For `make superuser` without prompts.
SUPERUSER = ("DJANGO_SUPERUSER_USERNAME", "DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL")


def main(arguments: list[str]) -> int:
    """Replace this process by the program."""
    name, program, *rest = arguments
    env = environment.load()
    if odbc.is_sqlserver(env):
        odbc.register_driver(env)
    env |= {variable: os.environ[variable] for variable in SUPERUSER if variable in os.environ}
    part = name.removesuffix("-dev")
    # manage.py and pytest choose their settings; any other program of a service's Python gets the service's.
    if part in environment.SERVICES and program == "python" and rest[:1] != ["manage.py"]:
        env["DJANGO_SETTINGS_MODULE"] = f"{part}_service.settings"
    os.chdir(environment.CHECKOUT / (f"services/{part}" if part in environment.SERVICES else part))
    path = f"{env['ENVIRONMENTS']}/{name}/bin/{program}"
    os.execve(path, [path, *rest], env)
