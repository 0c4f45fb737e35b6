"""The one error of these commands."""


class CommandError(Exception):
    """The command cannot go on. The message is the one line that the person at the terminal reads."""
