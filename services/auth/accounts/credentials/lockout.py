"""Slows down and bounds guessing at passwords (docs/adr/0008-lockout.md).

An attempt is counted before the password is looked at, so that it makes no difference how many come at once; a right
password takes its own back. Nobody is ever locked for good: every count runs empty by itself.
"""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.credentials.models import AttemptCount
from accounts.users.models import User
from servicekit.database.deadlocks import retries_deadlocks
from servicekit.http.exceptions import ServiceUnavailable, TooManyRequests

# An address at which the user has given the right password counts as the user's own for this long.
KNOWN_FOR = datetime.timedelta(days=30)
# What a site has of IPv6 (RFC 6177): whoever has it can choose any address in it.
SITE_PREFIX = 48
# Each attempt leaves four rows at most, so the table shrinks whenever more than that have expired.
REMOVED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Delays:
    """``free`` failures in a row without a delay, then 1, 2, 4 … seconds up to ``longest``; forgotten in time."""

    free: int
    longest: datetime.timedelta
    forgotten_after: datetime.timedelta

    def next_at(self, count: AttemptCount) -> datetime.datetime:
        return count.until

    def add(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.failures += 1
        count.until = now + self._delay(count.failures)
        count.expires_at = now + self.forgotten_after

    def take_back(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.failures = max(0, count.failures - 1)
        # Others may have failed since, whose delay goes on.
        count.until = min(count.until, now + self._delay(count.failures))

    def _delay(self, failures: int) -> datetime.timedelta:
        if failures < self.free:
            return datetime.timedelta(0)
        # No power beyond what a timedelta holds.
        return min(datetime.timedelta(seconds=2 ** min(failures - self.free, 20)), self.longest)


@dataclass(frozen=True, slots=True)
class Budget:
    """``burst`` attempts at once and one more ``every`` so often: in any hour no more than burst + hour / every.

    The generic cell rate algorithm, which needs one time for each key: when it will have run empty. Counting from the
    start of an hour would let twice as many through around its end.
    """

    burst: int
    every: datetime.timedelta

    def next_at(self, count: AttemptCount) -> datetime.datetime:
        return count.until - (self.burst - 1) * self.every

    def add(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.until = count.expires_at = max(count.until, now) + self.every

    def take_back(self, count: AttemptCount, now: datetime.datetime) -> None:
        count.until = count.expires_at = count.until - self.every


# For an account at one address: 17 guesses in the first hour, then four an hour.
DELAYS = Delays(free=5, longest=datetime.timedelta(minutes=15), forgotten_after=datetime.timedelta(hours=1))
# For an account at all addresses that it knows together, and another for all that it does not: 50 in any hour each,
# which makes the 100 of OWASP's ASVS 4.0.3 (2.2.1); 5.0.0 leaves the figure to us (6.1.1, 6.3.1). Whoever is at one
# address cannot use either up.
ACCOUNT_BUDGET = Budget(burst=30, every=datetime.timedelta(minutes=3))
# For an address at all accounts that do not know it together: 120 in any hour.
ADDRESS_BUDGET = Budget(burst=60, every=datetime.timedelta(minutes=1))


@contextmanager
def counted_attempt(*, user: User, address: str) -> Iterator[None]:
    """Around the check of a password; raises TooManyRequests where none may be checked now.

    It counts as a failure unless the block ends without an exception, or with ServiceUnavailable. ``user`` may be one
    who is not stored: a name that nobody has is counted in the same way.
    """
    network = _network(address)
    counted = _count(user=user, network=network)
    try:
        yield
    except ServiceUnavailable:
        _take_back(counted)
        raise
    _forgive(counted)
    _remember(user=user, network=network)


def _count(*, user: User, network: str) -> list[tuple[str, Delays | Budget]]:
    """Adds one to every count that the attempt falls under, and names them; raises TooManyRequests."""
    # By the stored name, not by what was typed: a collation can take more spellings for one name than we do.
    name = user.username
    rules: list[tuple[str, Delays | Budget]] = [(_key("account at address", name, network), DELAYS)]
    if _is_known(user=user, network=network):
        rules += [(_key("account at known addresses", name), ACCOUNT_BUDGET)]
    else:
        rules += [
            (_key("account at other addresses", name), ACCOUNT_BUDGET),
            (_key("address", network), ADDRESS_BUDGET),
        ]
    keys = [key for key, _ in rules]
    # Whoever comes too early costs some reads, and makes nobody wait for a lock.
    found = AttemptCount.objects.in_bulk(keys)
    _refuse_early([(rule, found[key]) for key, rule in rules if key in found])
    for key in keys:
        if key not in found:
            _make(key)
    _add(rules)
    _remove_expired()
    return rules


@retries_deadlocks
def _add(rules: list[tuple[str, Delays | Budget]]) -> None:
    with transaction.atomic():
        # Always in this order, so that no two wait for each other.
        counts = [(rule, _lock(key)) for key, rule in rules]
        _refuse_early(counts)
        now = timezone.now()
        for rule, count in counts:
            if count.expires_at <= now:
                count.failures, count.until = 0, now
            rule.add(count, now)
            _store(count)


def _refuse_early(counts: list[tuple[Delays | Budget, AttemptCount]]) -> None:
    now = timezone.now()
    next_at = max((rule.next_at(count) for rule, count in counts if count.expires_at > now), default=now)
    if next_at > now:
        raise TooManyRequests(wait=(next_at - now).total_seconds())


@retries_deadlocks
def _take_back(counted: list[tuple[str, Delays | Budget]]) -> None:
    now = timezone.now()
    with transaction.atomic():
        for key, rule in counted:
            count = _lock(key)
            rule.take_back(count, now)
            _store(count)


@retries_deadlocks
def _forgive(counted: list[tuple[str, Delays | Budget]]) -> None:
    with transaction.atomic():
        # The one of the account at this address, which comes first, starts afresh.
        AttemptCount.objects.filter(key=counted[0][0]).update(failures=0, expires_at=timezone.now())
        _take_back(counted[1:])


@retries_deadlocks
def _make(key: str) -> None:
    """A row that says nothing yet, where there is none."""
    now = timezone.now()
    # Not get_or_create(), which reads the row that another has made: it may be removed again before that.
    with suppress(IntegrityError), transaction.atomic():
        AttemptCount.objects.create(key=key, failures=0, until=now, expires_at=now)


def _lock(key: str) -> AttemptCount:
    """The row of this key, which nobody else changes until the transaction ends."""
    row = AttemptCount.objects.filter(key=key)
    while True:
        # A write, since that locks on every server; a SELECT's lock is a hint, which not every one takes.
        row.update(failures=F("failures"))
        if (count := row.first()) is not None:
            return count
        # It had expired and was removed since it was found.
        _make(key)


def _store(count: AttemptCount) -> None:
    # Not save(), which trusts the row count, and drivers may report -1.
    AttemptCount.objects.filter(key=count.key).update(
        failures=count.failures, until=count.until, expires_at=count.expires_at
    )


def _is_known(*, user: User, network: str) -> bool:
    return AttemptCount.objects.filter(key=_known_key(user, network), expires_at__gt=timezone.now()).exists()


@retries_deadlocks
def _remember(*, user: User, network: str) -> None:
    """Makes the address one that the account knows."""
    key = _known_key(user, network)
    until = timezone.now() + KNOWN_FOR
    # Not again at each login: once a day will do.
    if not AttemptCount.objects.filter(key=key, expires_at__gt=until - datetime.timedelta(days=1)).exists():
        _make(key)
        AttemptCount.objects.filter(key=key).update(expires_at=until)


def _remove_expired() -> None:
    """A few, and one at a time: a statement that locks several rows could wait for an attempt that waits for it."""
    expired = AttemptCount.objects.filter(expires_at__lte=timezone.now())
    for key in list(expired.values_list("key", flat=True)[:REMOVED_AT_ONCE]):
        retries_deadlocks(expired.filter(key=key).delete)()


def _known_key(user: User, network: str) -> str:
    """Of the stored password, so that a new one makes every address unknown: a thief may have known the old one."""
    return _key("known address", user.username, user.password, network)


def _key(kind: str, *parts: str) -> str:
    """Keyed by SECRET_KEY: people type passwords into the name's field, and no table must give these away."""
    return salted_hmac(f"accounts.credentials.lockout {kind}", "\0".join(parts), algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    """What one client can choose among: an IPv4 address, or the IPv6 network of a site."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, SITE_PREFIX), strict=False))
