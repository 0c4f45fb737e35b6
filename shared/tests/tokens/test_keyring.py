import pytest
from django.conf import settings as configured

from servicekit.testing import make_token
from servicekit.tokens.keyring import current_keys
from servicekit.tokens.keys import format_keys
from servicekit.tokens.verifier import InvalidToken, verify

NEW, OLD = configured.JWT_KEYS
KEYS = {key: format_keys((key,)) for key in (NEW, OLD)}


@pytest.fixture
def file(clean_environment, monkeypatch, tmp_path, settings):
    settings.JWT_KEYS = (NEW,)
    file = tmp_path / "keys"
    file.write_text(KEYS[NEW])
    monkeypatch.setenv("JWT_KEYS_FILE", str(file))
    monkeypatch.setattr("servicekit.tokens.keyring._copy", None)
    return file


@pytest.fixture
def clock(monkeypatch):
    """The value of time.monotonic()."""
    clock = [1000.0]
    monkeypatch.setattr("servicekit.tokens.keyring.time.monotonic", lambda: clock[0])
    return clock


def test_without_a_file_they_are_the_settings(clean_environment, settings):
    assert current_keys() == (NEW, OLD)
    settings.JWT_KEYS = (OLD,)
    assert current_keys() == (OLD,)


def test_a_change_of_the_file_is_seen_a_second_after_the_last_look(file, clock):
    assert current_keys() == (NEW,)
    file.write_text(f"{KEYS[OLD]},{KEYS[NEW]}\n")
    clock[0] += 0.99
    assert current_keys() == (NEW,)
    clock[0] += 0.02
    assert current_keys() == (OLD, NEW)


def test_the_file_is_not_parsed_again_while_it_is_the_same(file, clock):
    keys = current_keys()
    clock[0] += 10
    assert current_keys() is keys


def test_a_file_that_cannot_be_used_changes_nothing_and_is_logged_once(file, clock, records):
    current_keys()
    for text in (None, f"{KEYS[OLD]},{KEYS[OLD]}", "", KEYS[OLD]):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        for _ in range(3):
            clock[0] += 1
            keys = current_keys()
        assert keys == ((OLD,) if text == KEYS[OLD] else (NEW,))
    logged = [record for record in records() if record["logger"] == "servicekit.tokens.keyring"]
    assert [record.get("problem") or record["kids"] for record in logged] == [
        "JWT_KEYS_FILE: cannot be read: No such file or directory",
        "JWT_KEYS: key 2 repeats the kid or the secret of another",
        "JWT_KEYS: is not set; see .env.example",
        ["old"],
    ]
    assert "o" * 64 not in str(logged)


def test_a_key_that_left_the_file_verifies_no_more(file, clock, settings):
    token = make_token()
    verify(token, token_type="access")
    file.write_text(KEYS[OLD])
    clock[0] += 1
    with pytest.raises(InvalidToken, match="not signed by a known key"):
        verify(token, token_type="access")
    settings.JWT_KEYS = (OLD,)
    verify(make_token(), token_type="access")
