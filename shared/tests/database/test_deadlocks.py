import pytest
from django.db import Error, IntegrityError, OperationalError, transaction

from servicekit.database.deadlocks import RETRIES, retries_deadlocks

WORDS = (
    "Transaction (Process ID 52) was deadlocked on lock resources with another process and has been chosen as the"
    " deadlock victim. Rerun the transaction."
)
PYODBC = Error("40001", f"[40001] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{WORDS} (1205) (SQLExecute)")
MSSQL_PYTHON = OperationalError(f"Driver Error: Serialization failure; DDBC Error: [Microsoft][SQL Server]{WORDS}")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr("servicekit.database.deadlocks.LONGEST_PAUSE_SECONDS", 0)


class Work:
    """A transaction that raises the given errors first, and records its runs and arguments."""

    def __init__(self, *errors: Exception) -> None:
        self.__qualname__ = "work"
        self.errors = list(errors)
        self.runs: list[tuple[object, ...]] = []

    def __call__(self, *arguments: object) -> str:
        self.runs.append(arguments)
        with transaction.atomic():
            if self.errors:
                raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize("error", [PYODBC, MSSQL_PYTHON], ids=["pyodbc", "mssql-python"])
@pytest.mark.parametrize("times", range(1, RETRIES + 1))
def test_victim_runs_again_as_it_was_called(error, times, caplog):
    work = Work(*[error] * times)
    assert retries_deadlocks(work)(1, 2) == "done"
    assert work.runs == [(1, 2)] * (times + 1)
    assert [(record.message, record.transaction, record.attempt) for record in caplog.records] == [
        ("deadlock", "work", attempt + 1) for attempt in range(times)
    ]


def test_victim_gives_up_after_three_times():
    work = Work(*[PYODBC] * (RETRIES + 1))
    with pytest.raises(Error) as raised:
        retries_deadlocks(work)()
    assert raised.value is PYODBC
    assert len(work.runs) == 1 + RETRIES == 4


def test_only_the_outermost_transaction_runs_again():
    inner, runs = Work(PYODBC), []

    @retries_deadlocks
    def outer() -> str:
        with transaction.atomic():
            runs.append(1)
            return retries_deadlocks(inner)()

    assert outer() == "done"
    # The outer one reruns both; rerunning only the inner one would have committed half.
    assert (len(runs), len(inner.runs)) == (2, 2)


def test_within_a_callers_transaction_nothing_runs_again():
    work = Work(PYODBC)
    with pytest.raises(Error), transaction.atomic():
        retries_deadlocks(work)()
    assert len(work.runs) == 1


@pytest.mark.parametrize(
    "error", [IntegrityError("23000", "40001"), OperationalError("unavailable"), ValueError("40001")]
)
def test_any_other_error_is_the_callers(error):
    work = Work(error)
    with pytest.raises(type(error)):
        retries_deadlocks(work)()
    assert len(work.runs) == 1


def test_what_was_to_follow_a_commit_follows_once():
    told, errors = [], [PYODBC]

    @retries_deadlocks
    def tell() -> None:
        with transaction.atomic():
            transaction.on_commit(lambda: told.append(1))
            if errors:
                raise errors.pop()

    tell()
    assert told == [1]
