"""Delays and limits for guessing passwords (docs/adr/0008-lockout.md and 0018-known-clients.md).

An attempt is counted before the password is checked, so concurrent attempts gain nothing over consecutive ones; a
correct password takes its own count back. No lockout is permanent: every count expires by itself.

A row whose last attempt is in the future was written by a wrong clock, and is ignored: after the clock has been
corrected, no delay is longer than its rule allows.
"""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.credentials.models import AttemptCount
from accounts.users.models import User
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.http.exceptions import TooManyRequests
from servicekit.tokens.verifier import LEEWAY_SECONDS

# How long an address that the user logged in from, or a refresh token, counts as the user's own.
KNOWN_FOR = datetime.timedelta(days=30)
# How far the servers' clocks may differ, as for tokens.
CLOCK_SKEW = datetime.timedelta(seconds=LEEWAY_SECONDS)
# The times of an empty row: in the past for any clock.
NEVER = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# The length of the IPv6 prefix that one site may be assigned (RFC 6177).
SITE_PREFIX = 48
# An attempt adds at most four rows, so the table shrinks while more than that have expired.
REMOVED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Delays:
    """``free`` consecutive failures without a delay, then delays of 1, 2, 4 … seconds up to ``longest``."""

    free: int
    longest: datetime.timedelta
    remembered_for: datetime.timedelta

    def next_at(self, count: AttemptCount, now: datetime.datetime) -> datetime.datetime:
        return min(count.until, now + self._delay(count.failures))

    def add(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.failures += 1
        count.until = now + self._delay(count.failures)

    def _delay(self, failures: int) -> datetime.timedelta:
        if failures < self.free:
            return datetime.timedelta(0)
        # The exponent is capped so that the result fits a timedelta.
        return min(datetime.timedelta(seconds=2 ** min(failures - self.free, 20)), self.longest)


@dataclass(frozen=True, slots=True)
class Budget:
    """``burst`` attempts, and one more per interval ``every``: at most burst + hour / every in any hour.

    This is the generic cell rate algorithm, which stores one time per key: when the budget will be full again. Counting
    per clock hour would allow twice as many attempts around the end of the hour.
    """

    burst: int
    every: datetime.timedelta

    @property
    def remembered_for(self) -> datetime.timedelta:
        return self.burst * self.every

    def next_at(self, count: AttemptCount, now: datetime.datetime) -> datetime.datetime:
        return min(count.until - (self.burst - 1) * self.every, now + self.every)

    def add(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.until = max(count.until, now) + self.every

    def take_back(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.until -= self.every
        if count.until <= now:
            count.until = count.expires_at = NEVER


# Per account and unknown address, and per account and session: 17 guesses in the first hour, then four an hour.
DELAYS = Delays(free=5, longest=datetime.timedelta(minutes=15), remembered_for=datetime.timedelta(hours=1))
# Per account and known address: 24 in any hour, and no wait of more than 5 minutes, since the user may share the
# address with an attacker.
KNOWN_ADDRESS_BUDGET = Budget(burst=12, every=datetime.timedelta(minutes=5))
# Per account, at all known addresses together, and at all unknown ones together: 50 in any hour each, which makes the
# 100 of OWASP's ASVS 4.0.3 (2.2.1); 5.0.0 leaves the figure to the application (6.1.1, 6.3.1). No single address can
# exhaust either budget.
ACCOUNT_BUDGET = Budget(burst=30, every=datetime.timedelta(minutes=3))
# Per address, at all accounts together to which it is unknown: 120 in any hour.
ADDRESS_BUDGET = Budget(burst=60, every=datetime.timedelta(minutes=1))

Rule = Delays | Budget


@contextmanager
def counted_attempt(*, user: User, address: str, session_id: str | None = None) -> Iterator[None]:
    """Count the password check in the ``with`` block as an attempt; raises TooManyRequests if it comes too early.

    The attempt counts as a failure if the block raises. ``user`` may be unsaved: a name without an account is counted
    in the same way. ``session_id`` names a session of the user, ended or not, for which the client has presented a
    token: others' guesses do not delay that client.
    """
    network = _network(address)
    counted = _count(user=user, network=network, session_id=session_id)
    yield
    _forgive(counted)
    _remember(user=user, network=network)


def _count(*, user: User, network: str, session_id: str | None) -> list[tuple[str, Rule]]:
    """Increment every count that applies to the attempt and return their keys and rules; raises TooManyRequests."""
    rules = _rules(user=user, network=network, session_id=session_id)
    keys = [key for key, _ in rules]
    # An attempt that comes too early costs only reads, and locks nothing.
    found = AttemptCount.objects.in_bulk(keys)
    _refuse_early([(rule, found[key]) for key, rule in rules if key in found])
    for key in keys:
        if key not in found:
            _ensure_row(key)
    _add(rules)
    _remove_expired()
    return rules


def _rules(*, user: User, network: str, session_id: str | None) -> list[tuple[str, Rule]]:
    """Return the keys that count the attempt, each with its rule; a correct password resets the first."""
    # Use the stored name, not the typed one: a collation can equate more spellings than normalize_username() does.
    name = user.username
    if session_id is not None:
        return [(_key("account in session", name, session_id), DELAYS)]
    if _is_known(user=user, network=network):
        return [
            (_key("account at known address", name, network), KNOWN_ADDRESS_BUDGET),
            (_key("account at known addresses", name), ACCOUNT_BUDGET),
        ]
    return [
        (_key("account at address", name, network), DELAYS),
        (_key("account at other addresses", name), ACCOUNT_BUDGET),
        (_key("address", network), ADDRESS_BUDGET),
    ]


@retries_deadlocks
def _add(rules: list[tuple[str, Rule]]) -> None:
    with transaction.atomic():
        # Lock always in this order, so that no two attempts deadlock.
        counts = [(rule, _lock(key)) for key, rule in rules]
        _refuse_early(counts)
        now = timezone.now()
        for rule, count in counts:
            if not _counts(rule, count, now):
                count.failures, count.until = 0, now
            rule.add(count, now)
            count.expires_at = now + rule.remembered_for
            _store(count)


def _refuse_early(counts: list[tuple[Rule, AttemptCount]]) -> None:
    now = timezone.now()
    next_at = max((rule.next_at(count, now) for rule, count in counts if _counts(rule, count, now)), default=now)
    if next_at > now:
        raise TooManyRequests(wait=(next_at - now).total_seconds())


def _counts(rule: Rule, count: AttemptCount, now: datetime.datetime) -> bool:
    """Return whether the row applies: it has not expired, and its last attempt is not in the future."""
    return now < count.expires_at <= now + rule.remembered_for + CLOCK_SKEW


@retries_deadlocks
def _forgive(counted: list[tuple[str, Rule]]) -> None:
    """Reset the first count, which is specific to this account and client, and take the attempt back from the rest."""
    (own, _), *others = counted
    with transaction.atomic():
        AttemptCount.objects.filter(key=own).update(failures=0, until=NEVER, expires_at=NEVER)
        for key, rule in others:
            count = _lock(key)
            if isinstance(rule, Budget):
                rule.take_back(count, timezone.now())
            _store(count)


@retries_deadlocks
def _ensure_row(key: str) -> None:
    """Insert an empty row unless the key has one."""
    # Not get_or_create(): it reads the row that a concurrent attempt inserted, which may have been removed by then.
    with suppress(IntegrityError), transaction.atomic():
        AttemptCount.objects.create(key=key, failures=0, until=NEVER, expires_at=NEVER)


def _lock(key: str) -> AttemptCount:
    """Return the row with this key, locked until the transaction ends; inserts a missing one."""
    row = AttemptCount.objects.filter(key=key)
    while True:
        # Lock by writing, which works on every server; locking in a SELECT is a hint that not every server honours.
        row.update(failures=F("failures"))
        if (count := row.first()) is not None:
            return count
        # The row had expired, and was removed after it was found.
        _ensure_row(key)


def _store(count: AttemptCount) -> None:
    # Not save(), which relies on the row count: drivers may report -1.
    AttemptCount.objects.filter(key=count.key).update(
        failures=count.failures, until=count.until, expires_at=count.expires_at
    )


def _is_known(*, user: User, network: str) -> bool:
    now = timezone.now()
    return AttemptCount.objects.filter(
        key=_known_key(user, network), expires_at__gt=now, expires_at__lte=now + KNOWN_FOR + CLOCK_SKEW
    ).exists()


@retries_deadlocks
def _remember(*, user: User, network: str) -> None:
    """Make the address known to the account."""
    key = _known_key(user, network)
    until = timezone.now() + KNOWN_FOR
    # Write at most once a day.
    recent = Q(expires_at__gt=until - datetime.timedelta(days=1), expires_at__lte=until + CLOCK_SKEW)
    if not AttemptCount.objects.filter(recent, key=key).exists():
        _ensure_row(key)
        AttemptCount.objects.filter(key=key).update(expires_at=until)


def _remove_expired() -> None:
    """Delete a few expired rows, one at a time: a statement that locks several could deadlock with an attempt."""
    now = timezone.now()
    expired = AttemptCount.objects.filter(Q(expires_at__lte=now) | Q(expires_at__gt=now + KNOWN_FOR + CLOCK_SKEW))
    for key in list(expired.values_list("key", flat=True)[:REMOVED_AT_ONCE]):
        retries_deadlocks(expired.filter(key=key).delete)()


def _known_key(user: User, network: str) -> str:
    """Return a key that depends on the password's hash: a new password makes every address, even a thief's, unknown."""
    return _key("known address", user.username, user.password, network)


def _key(kind: str, *parts: str) -> str:
    """Return an HMAC by SECRET_KEY: people type passwords into the username field, and no table may reveal them."""
    return salted_hmac(f"accounts.credentials.lockout {kind}", "\0".join(parts), algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    """Return the network in which one client can choose its address: a single IPv4 address or a site's IPv6 prefix."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, SITE_PREFIX), strict=False))
