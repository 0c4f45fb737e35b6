import subprocess
import sys
from pathlib import Path

import pytest

from servicekit.process import env
from servicekit.process.env import ConfigurationError


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SETTING", raising=False)
    monkeypatch.delenv("SETTING_FILE", raising=False)


def test_value_is_trimmed(monkeypatch):
    monkeypatch.setenv("SETTING", "  value\n")
    assert env.get("SETTING") == "value"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_unset_or_blank_is_the_default(monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("SETTING", value)
    assert env.get("SETTING", "default") == "default"


def test_file_stands_for_the_variable(monkeypatch, tmp_path: Path):
    (tmp_path / "secret").write_text("from a file: ä\n", encoding="utf-8")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "secret"))
    assert env.require("SETTING") == "from a file: ä"


def test_variable_that_is_set_twice_is_refused(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SETTING", "value")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"^SETTING and SETTING_FILE: are both set; set one of them$"):
        env.get("SETTING")


@pytest.mark.parametrize(
    ("contents", "problem"), [(None, "No such file or directory"), (b"\xff\xfe", "it is not UTF-8 text")]
)
def test_unreadable_file_stops_the_start_and_names_the_variable(monkeypatch, tmp_path: Path, contents, problem):
    if contents is not None:
        (tmp_path / "secret").write_bytes(contents)
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError) as stop:
        env.get("SETTING")
    assert str(stop.value) == f"SETTING_FILE: cannot be read: {problem}"


def test_empty_file_is_a_missing_value(monkeypatch, tmp_path: Path):
    (tmp_path / "secret").write_text("\n")
    monkeypatch.setenv("SETTING_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="SETTING: is not set"):
        env.require("SETTING")


def test_missing_value_stops_the_start_with_one_line_and_exit_code_1():
    script = "from servicekit.process import env; env.require('SETTING')"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (process.returncode, process.stderr) == (1, "SETTING: is not set; see .env.example\n")


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10", 10), ("007", 7), (" 5 ", 5)])
def test_whole_number_within_the_bounds(monkeypatch, text, number):
    monkeypatch.setenv("SETTING", text)
    assert env.integer("SETTING", 3, minimum=1, maximum=10) == number


def test_number_that_is_not_set_is_the_default():
    assert env.integer("SETTING", 3, minimum=1, maximum=10) == 3


@pytest.mark.parametrize(
    "text",
    ["0", "11", "-1", "+1", "1_0", "1.0", "1e0", "0x1", "five", "١", "²", "９", "9" * 20, "9" * 5000],
    ids=lambda text: text if len(text) < 6 else f"{len(text)} digits",
)
def test_bad_number_stops_the_start_and_shows_no_value(monkeypatch, text):
    monkeypatch.setenv("SETTING", text)
    with pytest.raises(ConfigurationError) as stop:
        env.integer("SETTING", 3, minimum=1, maximum=10)
    assert str(stop.value) == "SETTING: must be a whole number from 1 to 10"


def test_choice_is_caseless(monkeypatch):
    monkeypatch.setenv("SETTING", "JSON")
    assert env.choice("SETTING", "text", choices=("json", "text")) == "json"


def test_choice_that_is_not_set_is_the_default():
    assert env.choice("SETTING", "text", choices=("json", "text")) == "text"


def test_unknown_choice_stops_the_start_and_shows_no_value(monkeypatch):
    monkeypatch.setenv("SETTING", "xml")
    with pytest.raises(ConfigurationError) as stop:
        env.choice("SETTING", "text", choices=("json", "text"))
    assert str(stop.value) == "SETTING: must be one of json, text"
