"""The error that all commands raise."""


class CommandError(Exception):
    """The command cannot continue. The message is the one line that the user sees."""
