"""Creating and changing endpoints and deliveries on behalf of their owners."""

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from servicekit.database.deadlocks import retries_deadlocks
from webhooks.encryption import decrypt, encrypt, reencrypt
from webhooks.models import BY_OWNER, ENDPOINTS_PER_OWNER, PENDING, Delivery, Endpoint
from webhooks.payloads import EVENT_TYPES, PING
from webhooks.reader import wake_endpoints
from webhooks.signing import new_secret

# How long an idempotency key is valid.
KEY_LIFETIME = timedelta(hours=24)
# How long a replaced secret keeps signing together with the new one.
OVERLAP = timedelta(hours=24)


class EndpointNotFound(Exception):
    """The owner has no such endpoint, or the endpoint no such delivery."""


class TooManyEndpoints(Exception):
    """The owner already has ENDPOINTS_PER_OWNER endpoints."""


class KeyReused(Exception):
    """The owner has created another endpoint with this idempotency key."""


class EndpointDisabled(Exception):
    """The endpoint is disabled, so nothing is sent to it."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An endpoint and its new secret, which is shown only once."""

    endpoint: Endpoint
    secret: str


def create_endpoint(
    *, owner_id: int, url: str, events: Iterable[str], key: str | None = None
) -> tuple[NewSecret, bool]:
    """Create an endpoint with a validated URL and event types, or repeat the creation with this idempotency key.

    Returns the endpoint with its secret, and whether this is a repetition. Only one of several concurrent calls with a
    key creates an endpoint. Raises TooManyEndpoints, or KeyReused if the key was used with another URL or other events.
    """
    joined = _join(events)
    creation_key, creation_hash = (_no_key(), "") if key is None else (_hash(key), _hash(f"{url} {joined}"))
    for _ in range(ENDPOINTS_PER_OWNER + 1):
        if key is not None and (known := _created_with(owner_id, creation_key, creation_hash)):
            return known, True
        taken = set(Endpoint.objects.filter(owner_id=owner_id, slot__gte=0).values_list("slot", flat=True))
        free = [slot for slot in range(ENDPOINTS_PER_OWNER) if slot not in taken]
        if not free:
            break
        # A concurrent request may take the slot or the key; retry, with one fewer slot each time.
        created = _insert_endpoint(
            owner_id=owner_id,
            slot=free[0],
            url=url,
            events=joined,
            creation_key=creation_key,
            creation_hash=creation_hash,
        )
        if created is not None:
            return created, False
    raise TooManyEndpoints


def _created_with(owner_id: int, creation_key: str, creation_hash: str) -> NewSecret | None:
    """Return the endpoint created with the key within KEY_LIFETIME, and its secret, or None; raises KeyReused."""
    mine = Endpoint.objects.filter(owner_id=owner_id, creation_key=creation_key)
    endpoint = mine.first()
    if endpoint is None:
        return None
    # A time in the future was written by a wrong clock.
    if abs(timezone.now() - endpoint.created_at) >= KEY_LIFETIME:
        mine.update(creation_key=_no_key(), creation_hash="")
        return None
    if endpoint.creation_hash != creation_hash:
        raise KeyReused
    return NewSecret(endpoint, decrypt(endpoint.secret))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _no_key() -> str:
    """Return a unique value that is not the hash of a known key."""
    return secrets.token_hex(32)


@retries_deadlocks
def _insert_endpoint(*, owner_id: int, slot: int, url: str, events: str, **creation: str) -> NewSecret | None:
    now = timezone.now()
    secret = new_secret()
    endpoint = Endpoint(
        owner_id=owner_id,
        slot=slot,
        url=url,
        events=events,
        **creation,
        secret=encrypt(secret),
        previous_until=now,
        failing_since=now,
        claimed_until=now,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
    except IntegrityError:
        return None
    return NewSecret(endpoint, secret)


def _join(events: Iterable[str]) -> str:
    """Return the event types joined by commas, in the order of EVENT_TYPES and without duplicates."""
    chosen = set(events)
    return ",".join(event for event in EVENT_TYPES if event in chosen)


@retries_deadlocks
def update_endpoint(
    *,
    owner_id: int,
    endpoint_id: int,
    url: str | None = None,
    events: Iterable[str] | None = None,
    enabled: bool | None = None,
) -> Endpoint:
    """Change the given fields; raises EndpointNotFound.

    A new URL, or enabling the endpoint, resets its failures. Disabling it gives up its pending deliveries.
    """
    now = timezone.now()
    with transaction.atomic():
        endpoint = _lock_endpoint(owner_id=owner_id, endpoint_id=endpoint_id)
        if url is not None and url != endpoint.url:
            endpoint.url, endpoint.failures = url, 0
        if events is not None:
            endpoint.events = _join(events)
        if enabled is not None and enabled != endpoint.enabled:
            endpoint.enabled, endpoint.disabled_reason = enabled, "" if enabled else BY_OWNER
            endpoint.failures, endpoint.due_at = 0, now
        endpoint.updated_at = now
        _save(endpoint, "url", "events", "enabled", "disabled_reason", "failures", "due_at", "updated_at")
    return endpoint


@retries_deadlocks
def delete_endpoint(*, owner_id: int, endpoint_id: int) -> None:
    """Delete the endpoint; raises EndpointNotFound. Housekeeping deletes its deliveries, which may be many."""
    now = timezone.now()
    with transaction.atomic():
        endpoint = _lock_endpoint(owner_id=owner_id, endpoint_id=endpoint_id)
        endpoint.slot, endpoint.enabled, endpoint.disabled_reason = -endpoint.id, False, BY_OWNER
        endpoint.creation_key = _no_key()
        endpoint.secret = endpoint.previous_secret = ""
        endpoint.due_at = now
        _save(endpoint, "slot", "creation_key", "enabled", "disabled_reason", "secret", "previous_secret", "due_at")


@retries_deadlocks
def exchange_secret(*, owner_id: int, endpoint_id: int) -> NewSecret:
    """Replace the secret; raises EndpointNotFound. Only the last replaced secret keeps signing, for OVERLAP."""
    now = timezone.now()
    secret = new_secret()
    with transaction.atomic():
        endpoint = _lock_endpoint(owner_id=owner_id, endpoint_id=endpoint_id)
        endpoint.previous_secret, endpoint.previous_until = endpoint.secret, now + OVERLAP
        endpoint.secret, endpoint.updated_at = encrypt(secret), now
        _save(endpoint, "secret", "previous_secret", "previous_until", "updated_at")
    return NewSecret(endpoint, secret)


@retries_deadlocks
def send_ping(*, owner_id: int, endpoint_id: int) -> Delivery:
    """Queue a ping; raises EndpointNotFound or EndpointDisabled."""
    now = timezone.now()
    with transaction.atomic():
        endpoint = _lock_enabled(owner_id=owner_id, endpoint_id=endpoint_id)
        wake_endpoints({endpoint.id}, now=now)
        return Delivery.objects.create(
            endpoint=endpoint,
            message_id=uuid.uuid4().hex,
            type=PING,
            event_id=0,
            task_id=0,
            due_at=now,
            attempted_at=now,
            created_at=now,
        )


@retries_deadlocks
def redeliver(*, owner_id: int, endpoint_id: int, delivery_id: int) -> Delivery:
    """Queue a delivery again, with a full set of attempts; raises EndpointNotFound or EndpointDisabled."""
    now = timezone.now()
    with transaction.atomic():
        endpoint = _lock_enabled(owner_id=owner_id, endpoint_id=endpoint_id)
        # If it is in flight, the current attempt counts as the first of the new ones.
        mine = Delivery.objects.filter(id=delivery_id, endpoint=endpoint)
        mine.update(state=PENDING, attempts=0, due_at=now)
        delivery = mine.first()
        if delivery is None:
            raise EndpointNotFound
        wake_endpoints({endpoint.id}, now=now)
    return delivery


def reencrypt_secrets() -> int:
    """Encrypt every secret with the first key; return the number of endpoints. Raises cryptography's InvalidToken."""
    ids = list(Endpoint.objects.filter(slot__gte=0).values_list("id", flat=True))
    for endpoint_id in ids:
        _reencrypt(endpoint_id)
    return len(ids)


@retries_deadlocks
def _reencrypt(endpoint_id: int) -> None:
    """Reencrypt one endpoint's secrets under a row lock, so that no concurrently exchanged secret is overwritten."""
    with transaction.atomic():
        this = Endpoint.objects.filter(id=endpoint_id)
        this.update(failures=F("failures"))
        endpoint = this.first()
        # It has been deleted, or marked as deleted, which removes its secrets.
        if endpoint is None or not endpoint.secret:
            return
        previous = endpoint.previous_secret and reencrypt(endpoint.previous_secret)
        this.update(secret=reencrypt(endpoint.secret), previous_secret=previous)


def _lock_enabled(*, owner_id: int, endpoint_id: int) -> Endpoint:
    endpoint = _lock_endpoint(owner_id=owner_id, endpoint_id=endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled
    return endpoint


def _lock_endpoint(*, owner_id: int, endpoint_id: int) -> Endpoint:
    """Return the endpoint, locked until the end of the transaction; raises EndpointNotFound."""
    mine = Endpoint.objects.filter(id=endpoint_id, owner_id=owner_id, slot__gte=0)
    # An UPDATE locks the row on every engine. Locking in a SELECT is only a hint, which not every server honours.
    mine.update(failures=F("failures"))
    endpoint = mine.first()
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


def _save(endpoint: Endpoint, *fields: str) -> None:
    # Not save(), which relies on the row count, for which drivers may report -1.
    Endpoint.objects.filter(id=endpoint.id).update(**{field: getattr(endpoint, field) for field in fields})
