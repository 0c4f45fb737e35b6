"""What every suite of the services has."""

pytest_plugins = ["servicekit.pytest_plugin"]
