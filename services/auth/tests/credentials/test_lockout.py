"""Password guessing: delays, limits, and the clients that these do not affect."""

import datetime
import itertools
import json
import re
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import Error, connection
from django.test import Client
from time_machine import TimeMachineFixture

from accounts.credentials import lockout
from accounts.credentials.lockout import counted_attempt
from accounts.credentials.models import AttemptCount
from accounts.credentials.services import InvalidCredentials
from accounts.sessions.models import Session
from accounts.users import hashers
from accounts.users.models import User
from servicekit.http.exceptions import TooManyRequests
from servicekit.testing import make_token
from tests.clients import bearer
from tests.statements import statements

PASSWORD = "correct horse battery"
HOME, OFFICE, ATTACKER = "192.0.2.1", "192.0.2.2", "203.0.113.66"
NOON = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", PASSWORD)


@pytest.fixture
def clock(time_machine: TimeMachineFixture) -> TimeMachineFixture:
    time_machine.move_to(NOON, tick=False)
    return time_machine


def log_in(
    client: Client, *, name: str = "ada", password: str = "wrong horse", address: str = HOME, **more: str
) -> Any:
    return client.post(
        "/api/auth/token",
        json.dumps({"username": name, "password": password, **more}),
        content_type="application/json",
        headers={"X-Forwarded-For": address},
    )


def guess(user: User, address: str) -> int:
    """Make a wrong guess; return 0 if it was checked, else the seconds until the next one is allowed."""
    try:
        with counted_attempt(user=user, address=address):
            raise InvalidCredentials
    except InvalidCredentials:
        return 0
    except TooManyRequests as refusal:
        return refusal.wait


def succeed(user: User, address: str) -> None:
    with counted_attempt(user=user, address=address):
        pass


def use_up(user: User, addresses: "itertools.count[int]") -> int:
    """Guess from new addresses until the account allows no more; return the number of guesses that were checked."""
    return sum(1 for _ in itertools.takewhile(lambda n: not guess(user, f"10.{n >> 8}.{n & 255}.1"), addresses))


class TestOneAddress:
    def test_waits_longer_after_each_failure(self, client: Client, user: User, clock: TimeMachineFixture) -> None:
        now = NOON
        for wait in [0] * 5 + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]:
            if wait:
                refused = log_in(client)
                assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(wait))
                # The header is exact to the second.
                clock.move_to(now + datetime.timedelta(seconds=wait - 0.001), tick=False)
                assert log_in(client).headers["Retry-After"] == "1"
                now += datetime.timedelta(seconds=wait)
                clock.move_to(now, tick=False)
            assert log_in(client).status_code == 401

    def test_refuses_by_a_problem_document_that_tells_nothing(self, client: Client, user: User) -> None:
        for _ in range(5):
            log_in(client)
        right, wrong = log_in(client, password=PASSWORD), log_in(client)
        for response in (right, wrong):
            assert response.status_code == 429
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["type"] == "/problems/too-many-requests"
        assert {**right.json(), "request_id": ""} == {**wrong.json(), "request_id": ""}

    def test_is_reset_by_the_right_password(self, client: Client, user: User, clock: TimeMachineFixture) -> None:
        for _ in range(5):
            log_in(client)
        clock.move_to(NOON + MINUTE, tick=False)
        assert log_in(client, password=PASSWORD).status_code == 200
        assert [log_in(client, address=OFFICE).status_code for _ in range(6)] == [401] * 5 + [429]
        # And at this address, which the account now knows.
        assert [log_in(client).status_code for _ in range(13)] == [401] * 12 + [429]

    def test_is_forgiven_after_an_hour(self, client: Client, user: User, clock: TimeMachineFixture) -> None:
        for _ in range(5):
            log_in(client)
        clock.move_to(NOON + HOUR, tick=False)
        assert [log_in(client).status_code for _ in range(6)] == [401] * 5 + [429]

    def test_may_log_in_as_often_as_it_likes(self, user: User) -> None:
        for _ in range(200):
            succeed(user, HOME)

    @pytest.mark.parametrize(
        ("address", "other"), [("2001:db8::1", "2001:db8:0:ffff::2"), ("192.0.2.1", "::ffff:192.0.2.1")]
    )
    def test_is_all_addresses_that_one_client_may_have(self, user: User, address: str, other: str) -> None:
        for _ in range(5):
            guess(user, address)
        assert guess(user, other) == 1
        assert guess(user, "2001:db8:1::1") == 0

    def test_counts_every_spelling_of_a_name_together(self, client: Client, user: User) -> None:
        spellings = ["ada", "ADA", " Ada\t", "ａｄａ", "𝐀da", "adA"]
        assert [log_in(client, name=name).status_code for name in spellings] == [401] * 5 + [429]

    def test_counts_wrong_passwords_of_both_calls_together(
        self, client: Client, user: User, clock: TimeMachineFixture
    ) -> None:
        pair = log_in(client, password=PASSWORD).json()

        def change() -> int:
            return client.post(
                "/api/auth/password",
                {"current": "wrong horse", "new": "another horse battery"},
                content_type="application/json",
                headers={"X-Forwarded-For": HOME, "Authorization": f"Bearer {pair['access']}"},
            ).status_code

        def login() -> int:
            return log_in(client, last_refresh=pair["refresh"]).status_code

        assert [change(), change(), login(), change(), login()] == [400, 400, 401, 400, 401]
        assert [login(), change()] == [429, 429]


@pytest.mark.parametrize("name", ["ada", "nobody", "gone"])
def test_an_unknown_name_is_answered_like_any_other(
    client: Client, user: User, clock: TimeMachineFixture, name: str
) -> None:
    User.objects.create(username="gone", password=user.password, is_active=False)
    responses = []
    for second in (0, 0, 0, 0, 0, 0, 1, 1, 2, 5):
        clock.move_to(NOON + datetime.timedelta(seconds=second), tick=False)
        response = log_in(client, name=name)
        responses.append((response.status_code, response.headers.get("Retry-After"), response.json()["detail"]))
    wrong = (401, None, "No active account has this username and password.")
    slower = "Too many attempts; the Retry-After header says when to try again."
    assert responses == [
        *[wrong] * 5, (429, "1", slower), wrong, (429, "2", slower), (429, "1", slower), wrong
    ]  # fmt: skip


class TestAnAccount:
    def test_takes_100_guesses_in_any_hour_at_most_whatever_their_addresses(
        self, user: User, clock: TimeMachineFixture
    ) -> None:
        known = [f"192.0.2.{n}" for n in range(20)]
        for address in known:
            succeed(user, address)
        others = itertools.count()
        taken: list[datetime.datetime] = []
        for step in range(0, 150, 3):
            now = NOON + step * MINUTE
            clock.move_to(now, tick=False)
            taken += [now] * (use_up(user, others) + sum(not guess(user, address) for address in known * 2))
        most = max(sum(start <= moment <= start + HOUR for moment in taken) for start in taken)
        # Exactly 100: fewer would mean that the figures in lockout.py are wrong as well.
        assert most == 100

    def test_is_not_locked_elsewhere_by_an_attacker_at_one_address(self, user: User, clock: TimeMachineFixture) -> None:
        succeed(user, HOME)
        now, guesses = NOON, 0
        while now < NOON + 24 * HOUR:
            clock.move_to(now, tick=False)
            wait = guess(user, ATTACKER)
            guesses += not wait
            now += datetime.timedelta(seconds=wait)
            for address in (HOME, f"198.51.{guesses}.1"):
                succeed(user, address)
        assert guesses > 100

    def test_lets_its_user_in_where_it_knows_the_address_while_all_the_world_guesses(
        self, client: Client, user: User, clock: TimeMachineFixture
    ) -> None:
        log_in(client, password=PASSWORD, address=HOME)
        # 29 days and a logout later.
        clock.move_to(NOON + datetime.timedelta(days=29), tick=False)
        user.sessions.all().delete()
        assert use_up(user, itertools.count()) == 30
        assert log_in(client, password=PASSWORD, address=OFFICE).status_code == 429
        assert log_in(client, password=PASSWORD, address=HOME).status_code == 200
        # After some minutes, from elsewhere as well.
        clock.shift(3 * MINUTE)
        assert log_in(client, password=PASSWORD, address=OFFICE).status_code == 200

    def test_knows_no_address_for_ever(self, user: User, clock: TimeMachineFixture) -> None:
        succeed(user, HOME)
        clock.move_to(NOON + datetime.timedelta(days=30), tick=False)
        use_up(user, itertools.count())
        assert guess(user, HOME) > 0

    def test_knows_only_the_address_where_its_password_was_changed(self, client: Client, user: User) -> None:
        for address in (HOME, OFFICE):
            log_in(client, password=PASSWORD, address=address)
        client.post(
            "/api/auth/password",
            {"current": PASSWORD, "new": "another horse battery"},
            content_type="application/json",
            headers={"X-Forwarded-For": HOME, **bearer(user)},
        )
        user.refresh_from_db()
        use_up(user, itertools.count())
        assert guess(user, OFFICE) > 0
        assert guess(user, HOME) == 0


class TestSpraying:
    def test_is_bounded_for_an_address_over_all_names(self, client: Client, clock: TimeMachineFixture) -> None:
        names = (User(username=f"user{n}") for n in itertools.count())
        assert [guess(next(names), ATTACKER) for _ in range(62)] == [0] * 60 + [60, 60]
        assert guess(next(names), OFFICE) == 0
        taken = 60
        for second in range(0, 3601, 20):
            clock.move_to(NOON + datetime.timedelta(seconds=second), tick=False)
            taken += not guess(next(names), ATTACKER)
        assert taken == 120

    def test_does_not_lock_those_who_have_logged_in_there(self, user: User) -> None:
        succeed(user, ATTACKER)
        for n in range(61):
            guess(User(username=f"user{n}"), ATTACKER)
        assert guess(User(username="eve"), ATTACKER) > 0
        assert guess(user, ATTACKER) == 0


class TestManyAtOnce:
    @staticmethod
    def guesses_taken(user: User, addresses: list[str]) -> int:
        def attempt(address: str) -> bool:
            try:
                return guess(user, address) == 0
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=16) as pool:
            return sum(pool.map(attempt, addresses))

    @pytest.mark.django_db(transaction=True)
    def test_at_one_address_get_no_more_guesses_than_one(self, clock: TimeMachineFixture) -> None:
        assert self.guesses_taken(User(username="ada"), [ATTACKER] * 16) == 5

    def test_are_put_in_order_by_a_write(self, user: User) -> None:
        """SQLite locks when the transaction starts; a server locks a row when it is written."""
        guess(user, HOME)
        with statements() as sent:
            guess(user, HOME)
        # Each statement has one key, except the query before the transaction, which has all of them.
        touched = [(sql.split()[0], re.findall(r"\b[0-9a-f]{64}\b", str(params))) for sql, params in sent]
        changed = {keys[0] for verb, keys in touched if verb == "UPDATE"}
        assert len(changed) == 3
        for key in changed:
            assert [verb for verb, keys in touched if keys == [key]][:2] == ["UPDATE", "SELECT"]

    def test_make_one_row(self) -> None:
        for _ in range(2):
            lockout._ensure_row("0" * 64)
        assert AttemptCount.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_at_an_address_each_get_no_more_guesses_than_one(self, clock: TimeMachineFixture) -> None:
        assert self.guesses_taken(User(username="ada"), [f"10.0.{n}.1" for n in range(48)]) == 30

    @pytest.mark.django_db(transaction=True)
    def test_through_the_whole_of_a_login_get_no_more_guesses_than_one(
        self, user: User, clock: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hashers, "_slots", threading.BoundedSemaphore(16))

        def attempt(_: int) -> int:
            try:
                return log_in(Client(), address=ATTACKER).status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=16) as pool:
            assert sorted(pool.map(attempt, range(16))) == [401] * 5 + [429] * 11


class Victim:
    """Execute wrapper that makes the write with this number, counting from 0, the victim of a deadlock."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.writes = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.search(r"\b(INSERT|UPDATE|DELETE)\b", sql):
            self.writes += 1
            if self.writes == self.number + 1:
                raise Error("40001", "[40001] [SQL Server]chosen as the deadlock victim. (1205) (SQLExecDirectW)")
        return execute(sql, params, many, context)


@pytest.mark.django_db(transaction=True)
def test_whichever_write_is_a_deadlocks_victim_the_answers_and_the_counts_are_the_same(
    client: Client, user: User, clock: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has no deadlocks; tests/sqlserver tests real ones."""
    monkeypatch.setattr("servicekit.database.deadlocks.LONGEST_PAUSE_SECONDS", 0)
    old_hash = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)

    def attempts(victim: Victim) -> Any:
        for model in (AttemptCount, Session):
            model.objects.all().delete()
        User.objects.exclude(id=user.id).delete()
        User.objects.filter(id=user.id).update(password=old_hash)
        clock.move_to(NOON, tick=False)
        with connection.execute_wrapper(victim):
            statuses = [log_in(client).status_code, log_in(client, password=PASSWORD).status_code]
            with hashers.password_slot():
                statuses.append(log_in(client, password=PASSWORD).status_code)
            before = list(AttemptCount.objects.order_by("until", "failures").values_list("failures", "until"))
            # All counts have expired.
            clock.move_to(NOON + 2 * HOUR, tick=False)
            statuses.append(log_in(client).status_code)
            new = {"username": "eve", "password": "another horse battery"}
            statuses.append(client.post("/api/auth/register", new, content_type="application/json").status_code)
        after = list(AttemptCount.objects.order_by("until", "failures").values_list("failures", "until"))
        hasher = User.objects.get(id=user.id).password.partition("$")[0]
        return statuses, hasher, before, after, Session.objects.count()

    monkeypatch.setattr(hashers, "_slots", threading.BoundedSemaphore(1))
    undisturbed = Victim(-1)
    expected = attempts(undisturbed)
    assert expected[0] == [401, 200, 503, 401, 201]
    assert expected[1] == "argon2"
    assert undisturbed.writes > 30
    for number in range(undisturbed.writes):
        victim = Victim(number)
        assert attempts(victim) == expected, number
        assert victim.writes > number


def test_a_busy_process_refuses_a_login_and_counts_no_failure(
    client: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashers, "_slots", threading.BoundedSemaphore(1))
    with hashers.password_slot():
        responses = [log_in(client, password=PASSWORD) for _ in range(6)]
    assert {response.status_code for response in responses} == {503}
    assert {response.headers["Retry-After"] for response in responses} == {"2"}
    assert not AttemptCount.objects.exists()
    assert log_in(client, password=PASSWORD).status_code == 200


class TestAKnownAddress:
    """An address from which the user has logged in, and which an attacker may share."""

    @pytest.fixture(autouse=True)
    def known(self, user: User, clock: TimeMachineFixture) -> None:
        succeed(user, HOME)

    def test_takes_the_right_password_after_11_wrong_ones(self, client: Client) -> None:
        assert {log_in(client).status_code for _ in range(11)} == {401}
        assert log_in(client, password=PASSWORD).status_code == 200

    def test_never_waits_longer_than_5_minutes(self, client: Client, clock: TimeMachineFixture) -> None:
        now, waits = NOON, []
        for _ in range(100):
            refused = log_in(client)
            if refused.status_code == 429:
                waits.append(int(refused.headers["Retry-After"]))
                now += datetime.timedelta(seconds=waits[-1])
                clock.move_to(now, tick=False)
        assert len(waits) > 40
        assert max(waits) == 300
        clock.shift(5 * MINUTE)
        assert log_in(client, password=PASSWORD).status_code == 200

    def test_leaves_the_others_alone_that_the_account_knows(self, user: User, clock: TimeMachineFixture) -> None:
        succeed(user, OFFICE)
        for n in range(24 * 12):
            clock.move_to(NOON + n * 5 * MINUTE, tick=False)
            while not guess(user, OFFICE):
                pass
            succeed(user, HOME)

    def test_takes_24_guesses_in_an_hour(self, user: User, clock: TimeMachineFixture) -> None:
        taken = 0
        for second in range(0, 3601, 20):
            clock.move_to(NOON + datetime.timedelta(seconds=second), tick=False)
            while not guess(user, HOME):
                taken += 1
        assert taken == 24


class TestALastRefreshToken:
    """A client that sends the user's last refresh token is not delayed by others' guesses."""

    @pytest.fixture
    def refresh(self, client: Client, user: User, clock: TimeMachineFixture) -> str:
        token: str = log_in(client, password=PASSWORD).json()["refresh"]
        return token

    @pytest.fixture
    def attacked(self, refresh: str, user: User) -> None:
        """Use up all guesses, at the user's own address and everywhere else."""
        while not guess(user, HOME):
            pass
        use_up(user, itertools.count())

    @pytest.mark.usefixtures("attacked")
    @pytest.mark.parametrize("address", [HOME, OFFICE])
    def test_gets_the_right_password_checked(self, client: Client, refresh: str, address: str) -> None:
        assert log_in(client, password=PASSWORD, address=address).status_code == 429
        assert log_in(client, password=PASSWORD, address=address, last_refresh=refresh).status_code == 200

    @pytest.mark.parametrize("days", [8, 30])
    def test_counts_for_30_days_although_it_expired_and_its_session_ended(
        self, client: Client, user: User, refresh: str, clock: TimeMachineFixture, days: int
    ) -> None:
        user.sessions.all().delete()
        clock.move_to(NOON + datetime.timedelta(days=days), tick=False)
        use_up(user, itertools.count())
        assert log_in(client, password=PASSWORD, address=OFFICE).status_code == 429
        assert log_in(client, password=PASSWORD, address=OFFICE, last_refresh=refresh).status_code == 200

    def test_is_slowed_down_by_its_own_failures(self, client: Client, refresh: str) -> None:
        wrong = [log_in(client, last_refresh=refresh) for _ in range(7)]
        assert [response.status_code for response in wrong] == [401] * 5 + [429] * 2
        assert log_in(client, password=PASSWORD).status_code == 200

    @pytest.mark.usefixtures("attacked")
    @pytest.mark.parametrize("kind", ["another user's", "too old", "ahead", "access", "forged", "garbage"])
    def test_that_proves_nothing_is_ignored(self, client: Client, user: User, refresh: str, kind: str) -> None:
        now = int(NOON.timestamp())
        eve = User.objects.create_user("eve", PASSWORD)
        shown = {
            "another user's": make_token(eve.id, token_type="refresh"),
            "too old": make_token(user.id, token_type="refresh", iat=now - 31 * 86_400, exp=now - 30 * 86_400),
            "ahead": make_token(user.id, token_type="refresh", iat=now + 60, exp=now + 600),
            "access": make_token(user.id),
            "forged": refresh[:-4] + "AAAA",
            "garbage": "garbage",
        }[kind]
        assert log_in(client, password=PASSWORD, last_refresh=shown).status_code == 429


@pytest.mark.parametrize("minutes", [1, 5, 60, 85, 120, 60 * 24 * 365])
class TestAClockThatWasAhead:
    """The clock was some minutes ahead and has been corrected, so times stored meanwhile are in the future."""

    @pytest.fixture(autouse=True)
    def ahead(self, minutes: int, user: User, clock: TimeMachineFixture) -> None:
        clock.move_to(NOON + minutes * MINUTE, tick=False)

    def test_leaves_no_delay_after_the_right_password(
        self, client: Client, clock: TimeMachineFixture, minutes: int
    ) -> None:
        for _ in range(3):
            assert log_in(client, password=PASSWORD).status_code == 200
        clock.move_to(NOON, tick=False)
        for address in (HOME, OFFICE):
            assert log_in(client, password=PASSWORD, address=address).status_code == 200

    def test_leaves_no_delay_at_all_after_wrong_passwords(
        self, client: Client, user: User, clock: TimeMachineFixture, minutes: int
    ) -> None:
        succeed(user, OFFICE)
        for address in (HOME, OFFICE):
            while log_in(client, address=address).status_code == 401:
                pass
        use_up(user, itertools.count())
        clock.move_to(NOON, tick=False)
        for address in (HOME, OFFICE, "198.51.100.1"):
            assert log_in(client, password=PASSWORD, address=address).status_code == 200

    def test_leaves_the_limits_as_they_were(self, user: User, clock: TimeMachineFixture, minutes: int) -> None:
        guess(user, HOME)
        clock.move_to(NOON, tick=False)
        assert use_up(user, itertools.count()) == 30

    def test_makes_no_address_known_for_longer(self, user: User, clock: TimeMachineFixture, minutes: int) -> None:
        succeed(user, HOME)
        clock.move_to(NOON, tick=False)
        while not guess(user, HOME):
            pass
        assert guess(user, HOME) == 1  # Not 300, as at a known address.

    def test_leaves_no_row_behind(self, user: User, clock: TimeMachineFixture, minutes: int) -> None:
        succeed(user, HOME)
        guess(user, OFFICE)
        for n in range(3):
            clock.move_to(NOON + datetime.timedelta(days=31 * n), tick=False)
            guess(user, ATTACKER)
        assert AttemptCount.objects.count() == 3


def test_clocks_of_two_servers_may_differ_by_5_seconds(user: User, clock: TimeMachineFixture) -> None:
    """Otherwise, guessing at both in turn would reset the count each time."""
    clock.move_to(NOON + datetime.timedelta(seconds=5), tick=False)
    for _ in range(5):
        guess(user, HOME)
    clock.move_to(NOON, tick=False)
    assert guess(user, HOME) == 1


def test_what_has_expired_is_removed_a_little_at_a_time(
    user: User, clock: TimeMachineFixture, django_assert_max_num_queries: Any
) -> None:
    for n in range(15):
        succeed(user, f"10.0.{n}.1")
    for n in range(15):
        guess(User(username=f"user{n}"), f"10.1.{n}.1")
    assert AttemptCount.objects.count() == 60
    clock.move_to(NOON + datetime.timedelta(days=31), tick=False)
    for _ in range(10):
        with django_assert_max_num_queries(40):
            guess(user, HOME)
        clock.shift(HOUR)
    # The rows of the last attempt.
    assert AttemptCount.objects.count() == 3


def test_the_table_holds_neither_names_nor_addresses(client: Client) -> None:
    log_in(client, name="Tr0ub4dor&3", address=HOME)
    assert AttemptCount.objects.count() == 3
    assert all(len(key) == 64 and int(key, 16) for key in AttemptCount.objects.values_list("key", flat=True))


def medians(attempts: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of 200 runs of each attempt; fails if the responses differ in more than their id."""
    seconds: dict[str, list[float]] = {kind: [] for kind in attempts}
    responses = set()
    # Alternate, so that other load on the machine affects all attempts alike.
    for _ in range(200):
        for kind, attempt in attempts.items():
            started = time.perf_counter()
            response = attempt()
            seconds[kind].append(time.perf_counter() - started)
            responses.add((response.status_code, json.dumps({**response.json(), "request_id": ""})))
    assert len(responses) == 1
    assert responses.pop()[0] == 401
    return {kind: statistics.median(times) for kind, times in seconds.items()}


def test_the_time_of_an_answer_does_not_tell_who_exists(
    client: Client, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create(username="gone", password=user.password, is_active=False)
    no_limit = lockout.Budget(burst=10**6, every=MINUTE)
    monkeypatch.setattr(lockout, "DELAYS", lockout.Delays(free=10**6, longest=MINUTE, remembered_for=HOUR))
    monkeypatch.setattr(lockout, "ACCOUNT_BUDGET", no_limit)
    monkeypatch.setattr(lockout, "ADDRESS_BUDGET", no_limit)
    found = medians(
        {
            "unknown": lambda: log_in(client, name="nobody", password=PASSWORD),
            "wrong": lambda: log_in(client),
            "inactive": lambda: log_in(client, name="gone", password=PASSWORD),
        }
    )
    assert max(found.values()) - min(found.values()) < 0.020, found
    # Each attempt computes a hash; without one, all times would be equal as well.
    assert min(found.values()) > 0.005, found


@pytest.mark.parametrize(("path", "token_type"), [("token/refresh", "refresh"), ("password", "access")])
def test_the_answer_to_an_old_token_does_not_tell_whether_its_user_exists(
    client: Client, user: User, path: str, token_type: str
) -> None:
    inactive = User.objects.create(username="gone", password=user.password, is_active=False)

    def attempt(user_id: int) -> Callable[[], Any]:
        token = make_token(user_id, token_type=token_type, is_staff=False)
        header = {"Authorization": f"Bearer {token}"} if token_type == "access" else {}
        body = json.dumps({"refresh": token} if token_type == "refresh" else {"current": PASSWORD, "new": "x"})
        return lambda: client.post(f"/api/auth/{path}", body, content_type="application/json", headers=header)

    attempts = {"unknown": attempt(inactive.id + 1), "inactive": attempt(inactive.id)}
    if token_type == "refresh":
        # A token of an ended session. An access token would be refused before its user is looked up.
        attempts["active"] = attempt(user.id)
    found = medians(attempts)
    assert max(found.values()) - min(found.values()) < 0.020, found
