import pytest

from servicekit.process.env import ConfigurationError
from servicekit.tokens.keys import Key, format_keys, keys_from_env, parse_keys

pytestmark = pytest.mark.usefixtures("clean_environment")


def test_keys_in_their_order(monkeypatch):
    monkeypatch.setenv("JWT_KEYS", f"new:{'n' * 32}, old-1_A:{'o' * 30}:=")
    assert keys_from_env() == (Key("new", b"n" * 32), Key("old-1_A", b"o" * 30 + b":="))


def test_keys_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "keys").write_text(f"k1:{'s' * 32}\n")
    monkeypatch.setenv("JWT_KEYS_FILE", str(tmp_path / "keys"))
    assert keys_from_env() == (Key("k1", b"s" * 32),)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("", "is not set; see .env.example", id="empty"),
        pytest.param("{good}", "key 1 is not kid:secret", id="no kid"),
        pytest.param(":{good}", "key 1 is not kid:secret", id="empty kid"),
        pytest.param("a b:{good}", "key 1 is not kid:secret", id="kid with a space"),
        pytest.param("kéy:{good}", "key 1 is not kid:secret", id="kid not ASCII"),
        pytest.param("k" * 65 + ":{good}", "key 1 is not kid:secret", id="kid too long"),
        pytest.param("a:{good},", "key 2 is not kid:secret", id="comma at the end"),
        pytest.param("a:" + "s" * 31, "the secret of key 1 has fewer than 32 bytes", id="short secret"),
        pytest.param("a:", "the secret of key 1 has fewer than 32 bytes", id="empty secret"),
        pytest.param("a:{good},a:{other}", "key 2 repeats the kid or the secret of another", id="kid twice"),
        pytest.param("a:{good},b:{good}", "key 2 repeats the kid or the secret of another", id="secret twice"),
    ],
)
def test_bad_keys_stop_the_start_and_show_no_secret(monkeypatch, value, problem):
    good = "0123456789-secret-0123456789-secret"
    monkeypatch.setenv("JWT_KEYS", value.format(good=good, other=good[::-1]))
    with pytest.raises(ConfigurationError) as stop:
        keys_from_env()
    assert str(stop.value).startswith(f"JWT_KEYS: {problem}")
    assert good not in str(stop.value)


def test_secret_does_not_show_in_a_keys_repr():
    assert repr(Key("kid", b"secret")) == "Key(kid='kid')"


def test_text_of_keys_is_parsed_to_the_same_keys():
    keys = (Key("new", b"n" * 32), Key("old-1_A", b"o" * 30 + b":="))
    assert parse_keys(format_keys(keys)) == keys
