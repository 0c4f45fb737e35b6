"""docs/logs.md lists auth's security events and the log messages about tokens, requested runs and webhooks."""

import ast
import logging
import re

from support.paths import CHECKOUT

PAGE = (CHECKOUT / "docs/logs.md").read_text(encoding="utf-8")
ROWS = [re.split(r" *\| *", line)[1:-1] for line in PAGE.splitlines() if re.match(r"\| `", line)]
LISTED = {
    (message, level)
    for messages, levels, *_ in ROWS
    for message, level in zip(re.findall("`([^`]+)`", messages), levels.split(", "), strict=True)
}
SECURITY_LOG = CHECKOUT / "services/auth/accounts/security_log.py"
LOGGERS = [
    *CHECKOUT.glob("shared/src/servicekit/tokens/*.py"),
    *CHECKOUT.glob("shared/src/servicekit/telemetry/*.py"),
    CHECKOUT / "services/auth/accounts/sessions/announcements.py",
    CHECKOUT / "services/scheduler/jobs/dispatch.py",
    *CHECKOUT.glob("services/scheduler/webhooks/*.py"),
]


def events() -> set[tuple[str, str]]:
    """Return the message and level of each call of Event(level, message)."""
    calls = [
        node for node in ast.walk(ast.parse(SECURITY_LOG.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    arguments = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Event"]
    return {(ast.literal_eval(message), ast.unparse(level)) for level, message in arguments}


def logged() -> set[tuple[str, str]]:
    """Return the message and level of each call of a logger; exception() logs an ERROR."""
    found = set()
    for path in LOGGERS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                level = node.func.attr.upper().replace("EXCEPTION", "ERROR")
                if ast.unparse(node.func.value) == "logger" and level in logging.getLevelNamesMapping():
                    found.add((ast.literal_eval(node.args[0]), level))
    return found


def test_the_page_lists_what_is_logged_and_nothing_else() -> None:
    assert len(events()) > 10
    assert len(logged()) > 5
    assert events() | logged() == LISTED
