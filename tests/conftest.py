"""Every suite has what support/plugin.py defines."""

pytest_plugins = ["support.plugin"]
