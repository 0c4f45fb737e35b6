import pytest

from local import environment
from local.errors import CommandError

NAMES = frozenset({"GATEWAY_PORT", "JWT_KEYS", "DATABASE_URL", "TASKS_DATABASE_URL"})


def choose(shell: dict[str, str], written: dict[str, str]) -> dict[str, str]:
    return environment.choose(NAMES, shell=shell, written=written)


@pytest.mark.parametrize(
    "name",
    [
        *("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "DJANGO_SETTINGS_MODULE", "GRANIAN_WORKERS", "PYTHONPATH"),
        *("PYTHONSAFEPATH", "PIP_USER", "UV_PYTHON_PREFERENCE", "CDPATH", "MAKEFLAGS", "http_proxy", "FLASK_ENV"),
    ],
)
def test_variable_of_another_project(name: str) -> None:
    assert choose({name: "theirs"}, {name: "theirs"}) == {}


def test_variables_of_the_machine_come_from_the_shell_alone() -> None:
    assert choose({"PATH": "/bin", "TZ": "UTC"}, {"PATH": "/elsewhere"}) == {"PATH": "/bin", "TZ": "UTC"}


def test_shell_wins_over_the_file() -> None:
    written = {"GATEWAY_PORT": "1111", "JWT_KEYS": "written"}
    assert choose({"GATEWAY_PORT": "2222"}, written) == {"GATEWAY_PORT": "2222", "JWT_KEYS": "written"}


def test_empty_value_counts_as_unset() -> None:
    assert choose({}, {"GATEWAY_PORT": " "}) == {}


def test_file_named_in_the_shell_takes_the_place_of_a_written_value() -> None:
    assert choose({"JWT_KEYS_FILE": "/keys"}, {"JWT_KEYS": "written"}) == {"JWT_KEYS_FILE": "/keys"}


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_URL_FILE"])
def test_logins_in_the_file_belong_to_its_database(name: str) -> None:
    written = {"DATABASE_URL": "mssql://a:b@one/x", "TASKS_DATABASE_URL": "mssql://t:b@one/x"}
    assert choose({name: "elsewhere"}, written) == {name: "elsewhere"}


def test_service_gets_its_own_login_and_no_other() -> None:
    env = {"DATABASE_URL_FILE": "/url", "TASKS_DATABASE_URL": "tasks", "AUTH_DATABASE_URL": "auth", "LANG": "C"}
    assert environment.for_service(env, "tasks") == {"DATABASE_URL": "tasks", "LANG": "C"}
    assert environment.for_service(env, "scheduler") == {"DATABASE_URL_FILE": "/url", "LANG": "C"}


@pytest.mark.parametrize("url", ["mssql://t:b@other/x", "mssql://t:b@one/y", "sqlite:///one/x"])
def test_login_for_another_database(url: str) -> None:
    env = {"DATABASE_URL": "mssql://a:b@one/x?encrypt=no", "TASKS_DATABASE_URL": url}
    with pytest.raises(CommandError, match=r"^TASKS_DATABASE_URL: names another database"):
        environment.refuse_other_databases(env)


def test_login_for_the_same_database() -> None:
    env = {"DATABASE_URL": "mssql://a:b@one/x?encrypt=no", "TASKS_DATABASE_URL": "mssql://t:p%40w@one/x"}
    environment.refuse_other_databases(env)
