import pytest

from servicekit.process.env import ConfigurationError
from servicekit.settings import secret_key
from servicekit.tokens.keys import Key

GOOD = "a secret of Django's, long enough"


@pytest.fixture(autouse=True)
def environment(clean_environment: None) -> None:
    pass


def test_secret_of_its_own_is_taken(monkeypatch):
    monkeypatch.setenv("SOME_SECRET_KEY", GOOD)
    monkeypatch.setenv("OTHER_SECRET_KEY", GOOD[::-1])
    assert secret_key("SOME_SECRET_KEY", jwt_keys=(Key("k", b"j" * 32),)) == GOOD


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        pytest.param({}, "is not set; see .env.example", id="missing"),
        pytest.param({"SOME_SECRET_KEY": "s" * 31}, "has fewer than 32 bytes", id="short"),
        pytest.param(
            {"SOME_SECRET_KEY": "j" * 32}, "equals a secret in JWT_KEYS; give each its own", id="also a JWT secret"
        ),
        pytest.param(
            {"SOME_SECRET_KEY": GOOD, "OTHER_SECRET_KEY": f" {GOOD} "},
            "equals OTHER_SECRET_KEY; give each its own",
            id="also another service's",
        ),
    ],
)
def test_bad_secret_stops_the_start_and_shows_no_value(monkeypatch, environment, problem):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as stop:
        secret_key("SOME_SECRET_KEY", jwt_keys=(Key("k", b"i" * 32), Key("l", b"j" * 32)))
    assert str(stop.value) == f"SOME_SECRET_KEY: {problem}"


def test_length_is_counted_in_bytes(monkeypatch):
    monkeypatch.setenv("SOME_SECRET_KEY", "ä" * 16)
    assert secret_key("SOME_SECRET_KEY", jwt_keys=()) == "ä" * 16
