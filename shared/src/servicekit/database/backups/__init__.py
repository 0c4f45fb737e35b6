"""Back the database up while it is in use, and restore it: a module for each engine."""


class BackupError(Exception):
    """The backup or restore is refused. The message is one line for the operator."""
