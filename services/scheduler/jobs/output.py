"""The log handler for standard output. The report's lines are its result, so a failure to write one fails the run."""

import logging

STRICT_LOGGER = "jobs.report"


class StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """A stream handler that raises errors in writing the report's lines; other lines' errors are handled as usual."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if record.name == STRICT_LOGGER:
            # logging calls this while it handles the exception.
            raise
        super().handleError(record)
