"""Write log lines. The report's lines are its result, so one that cannot be written fails the run."""

import logging

STRICT_LOGGER = "jobs.report"


class StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Raise errors of writing the report's lines; ignore those of other lines, as logging does."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if record.name == STRICT_LOGGER:
            # logging calls this while it handles the exception.
            raise
        super().handleError(record)
