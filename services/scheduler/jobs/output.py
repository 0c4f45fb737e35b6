"""Where log lines go. The report's lines are its result, so one that cannot be written is no success."""

import logging

STRICT_LOGGER = "jobs.report"


class StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Raise what goes wrong with the report's lines. As logging does, pass over what goes wrong with others."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if record.name == STRICT_LOGGER:
            # logging calls this while it handles the exception.
            raise
        super().handleError(record)
