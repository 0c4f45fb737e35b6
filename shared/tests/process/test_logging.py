import json
import logging
import os
import re
import subprocess
import sys

import pytest

from servicekit.process.context import set_request_id
from servicekit.process.env import ConfigurationError
from servicekit.process.logging import TextFormatter, logging_config

logger = logging.getLogger("tests.example")


@pytest.fixture(autouse=True)
def outside_of_a_request() -> None:
    set_request_id("")


def text(message: str, *, level: int = logging.INFO, exc_info=None, **fields: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelno": level, "levelname": logging.getLevelName(level)})
    record.exc_info = exc_info
    record.__dict__.update(fields)
    _time, _service, rest = TextFormatter(service="example").format(record).split(" ", 2)
    return rest


def test_json_line_has_the_common_fields_first_and_then_its_own(log, time_machine):
    time_machine.move_to("2026-01-31T09:30:00.0625Z", tick=False)
    set_request_id("an-id")
    logger.warning("it happened", extra={"size": 5, "path": "/ä"})
    (line,) = log()
    assert list(json.loads(line).items()) == [
        ("time", "2026-01-31T09:30:00.062Z"),
        ("service", "example"),
        ("level", "WARNING"),
        ("logger", "tests.example"),
        ("message", "it happened"),
        ("request_id", "an-id"),
        ("size", 5),
        ("path", "/ä"),
    ]


def test_output_is_utf_8_in_every_locale_and_escapes_what_has_no_form_in_it():
    program = (
        "import logging.config; from servicekit.process.logging import logging_config;"
        "logging.config.dictConfig(logging_config('example')); logging.warning('W\\u00e4sche \\ud800')"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["message"] == "Wäsche \ud800"
    assert done.stderr == b""


def test_outside_of_a_request_there_is_no_request_id(records):
    logger.info("it happened")
    assert records()[0]["request_id"] is None


def test_json_line_is_one_line_whatever_is_in_it(log):
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("it\nfailed", extra={"path": '/a\n{"level": "INFO"}'})
    (line,) = log()
    record = json.loads(line)
    assert (record["level"], record["path"]) == ("ERROR", '/a\n{"level": "INFO"}')
    assert record["exc_info"].endswith("ValueError: first\nsecond")


def test_amount_is_chosen_by_the_environment(clean_environment, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "Warning")
    assert logging_config("example")["root"]["level"] == "WARNING"


@pytest.mark.parametrize("name", ["LOG_FORMAT", "LOG_LEVEL"])
def test_bad_choice_stops_the_start_and_names_the_variable(clean_environment, monkeypatch, name):
    monkeypatch.setenv(name, "loud")
    with pytest.raises(ConfigurationError, match=f"^{name}: must be one of"):
        logging_config("example")


@pytest.mark.parametrize("log_format", ["text"])
def test_text_is_chosen_by_the_environment(log):
    set_request_id("an-id")
    logger.info("it happened", extra={"size": 5})
    (line,) = log()
    assert re.fullmatch(r"\d\d:\d\d:\d\d example it happened size=5 request_id=an-id", line)


def test_text_names_the_level_where_it_is_not_the_usual_one():
    assert text("it happened") == "it happened"
    assert text("it happened", level=logging.ERROR) == "ERROR it happened"


def test_text_leaves_out_what_is_not_there():
    assert text("request", user_id=None, status=200) == "request status=200"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/api/tasks", "/api/tasks"),
        (5, "5"),
        ("/ä", "/ä"),
        ("a\u202eb", r'"a\u202eb"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('a"b', r'"a\"b"'),
        ("a\nERROR forged status=500", r'"a\nERROR forged status=500"'),
        ("a\tb\r\0", r'"a\tb\r\u0000"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("\x9b31mred", r'"\u009b31mred"'),
        ("a\u2028b\x85c", r'"a\u2028b\u0085c"'),
        ("a\u00a0status=500", r'"a\u00a0status=500"'),
    ],
)
def test_value_in_text_can_never_look_like_another_field_or_line(value, shown):
    assert text("request", path=value, status=200) == f"request path={shown} status=200"


def test_text_has_the_traceback_below():
    try:
        raise ValueError("wrong")
    except ValueError as error:
        lines = text("failed", level=logging.ERROR, exc_info=(ValueError, error, error.__traceback__)).splitlines()
    assert (lines[0], lines[1], lines[-1]) == (
        "ERROR failed",
        "Traceback (most recent call last):",
        "ValueError: wrong",
    )


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("path", ["/plain/defect", "/failing/defect", "/plain/suspicious", "/failing/operational"])
def test_query_string_is_in_no_line_not_even_djangos_own(client, log, path):
    client.get(f"{path}?token=hunter2")
    lines = log()
    assert any(path in line for line in lines)
    assert not re.search("hunter2|WSGIRequest", "\n".join(lines))
