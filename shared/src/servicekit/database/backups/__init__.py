"""Back up the database while it is in use, and restore it; one module per engine."""


class BackupError(Exception):
    """The backup or restore is refused. The message is one line for the operator."""
