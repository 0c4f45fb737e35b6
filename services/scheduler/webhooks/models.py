"""The models of webhooks, and a read-only one of the events from which deliveries are created."""

import datetime

from django.db import models
from django.db.models import Q

ENDPOINTS_PER_OWNER = 10
URL_MAXIMUM = 2000
EXCERPT_BYTES = 200

PENDING = "pending"
DELIVERED = "delivered"
DEAD = "dead"

# The reasons why an endpoint is disabled.
BY_OWNER = "owner"
GONE = "gone"
FAILING = "failing"

# Used instead of NULL, which the drivers send without a type, so that not every server can read it as a time.
NEVER = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)


class Endpoint(models.Model):
    """A user's URL that receives events.

    It is also the unit of work: one sender process at a time claims an endpoint, sends some of its due deliveries and
    records the outcomes. So deliveries stay in order, and an endpoint that hangs occupies only its share of the sender.
    """

    id = models.BigAutoField(primary_key=True)
    # Not a foreign key: the table of users belongs to another service.
    owner_id = models.BigIntegerField()
    # A number from 0, unique per owner, which limits an owner to ENDPOINTS_PER_OWNER; for a deleted endpoint, its
    # negated id, until housekeeping has deleted its deliveries.
    slot = models.BigIntegerField()
    # The hashes of the Idempotency-Key and the content of the request that created it; a random value and an empty
    # string if there was no key, or the key may be reused.
    creation_key = models.CharField(max_length=64)
    creation_hash = models.CharField(max_length=64, default="")
    url = models.CharField(max_length=URL_MAXIMUM)
    # Event types, separated by commas.
    events = models.CharField(max_length=200)
    enabled = models.BooleanField(default=True)
    # Empty while it is enabled.
    disabled_reason = models.CharField(max_length=16, default="")
    # Encrypted. Until previous_until, the previous secret signs as well.
    secret = models.CharField(max_length=200)
    previous_secret = models.CharField(max_length=200, default="")
    previous_until = models.DateTimeField()
    # Failed attempts since the last success, and the time of the first of them (meaningless if there are none).
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField()
    # When there is work: the earliest due_at of the pending deliveries that do not wait for an earlier one about their
    # task; if disabled, when its housekeeping is due; NEVER if there is none.
    due_at = models.DateTimeField(default=NEVER)
    # The sender's claim, and its expiry unless the sender releases it earlier. A failing endpoint rests after its
    # release: it is not claimed before claimed_until.
    claim = models.CharField(max_length=32, default="")
    claimed_until = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=["due_at"], name="webhooks_endpoint_due"),)
        constraints = (
            models.UniqueConstraint(fields=["owner_id", "slot"], name="webhooks_endpoint_slot"),
            models.UniqueConstraint(fields=["owner_id", "creation_key"], name="webhooks_endpoint_creation"),
            models.CheckConstraint(condition=Q(slot__lt=ENDPOINTS_PER_OWNER), name="webhooks_endpoint_limit"),
            models.CheckConstraint(
                condition=Q(enabled=True, disabled_reason="")
                | Q(enabled=False, disabled_reason__in=(BY_OWNER, GONE, FAILING)),
                name="webhooks_endpoint_reason",
            ),
        )

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event on its way to one endpoint, over all its attempts."""

    id = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, db_index=False)
    # The UUID of the event or ping, by which the receiver recognises a repeated delivery.
    message_id = models.CharField(max_length=32)
    type = models.CharField(max_length=20)
    # Both are 0 for a ping, which has no event and no task.
    event_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    state = models.CharField(max_length=16, default=PENDING)
    # When to send it next; meaningless once it is no longer pending.
    due_at = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    # The last attempt: its start, the response's status (0 if there was none), its duration, the error, and the start
    # of the response's body.
    attempted_at = models.DateTimeField()
    status = models.IntegerField(default=0)
    latency_ms = models.IntegerField(default=0)
    error = models.CharField(max_length=200, default="")
    response = models.CharField(max_length=EXCERPT_BYTES, default="")
    created_at = models.DateTimeField()

    class Meta:
        indexes = (
            # Finds an endpoint's due pending deliveries, and the time of the next one.
            models.Index(fields=["endpoint", "state", "due_at"], name="webhooks_delivery_due"),
            # Finds an earlier delivery about the same task.
            models.Index(fields=["endpoint", "task_id", "event_id"], name="webhooks_delivery_order"),
            # Serves the list of an endpoint's deliveries, newest first.
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhooks_delivery_newest"),
        )
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "message_id"], name="webhooks_delivery_once"),
            models.CheckConstraint(condition=Q(state__in=(PENDING, DELIVERED, DEAD)), name="webhooks_delivery_state"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.message_id}"


class Position(models.Model):
    """The single row that records how far the log of events has been read."""

    id = models.IntegerField(primary_key=True)
    event_id = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.event_id)


class Gap(models.Model):
    """A range of ids below the position that were missing when it passed them.

    Their transactions may still be open or have been rolled back, or SQL Server skipped the ids at a restart (thousands
    at once, hence ranges). They are looked up until they appear or are too old to appear.
    """

    id = models.BigAutoField(primary_key=True)
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.first_id}–{self.last_id}"


class Event(models.Model):
    """A change of a task, written by the tasks service and read-only here.

    The ids of one task's events are in the order of its changes. Events of different tasks may become visible out of
    order, since ids are assigned before the transactions commit.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.CharField(max_length=32)
    type = models.CharField(max_length=20)
    owner_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    title = models.CharField(max_length=200)
    duration = models.IntegerField()
    task_created_at = models.DateTimeField()
    task_updated_at = models.DateTimeField()
    request_id = models.CharField(max_length=32)
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tasks_event"

    def __str__(self) -> str:
        return f"{self.type} {self.uuid}"
