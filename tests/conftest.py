"""Load the plugin that every suite uses."""

pytest_plugins = ["support.plugin"]
