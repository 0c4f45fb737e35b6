"""Webhooks from a task's change to the receiver, and the deliveries that the owner sees."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.accounts import Account, register
from support.receiver import Receiver, receiving
from support.stack import Stack
from support.waiting import wait_until

EVENTS = ["task.created", "task.renamed", "task.deleted"]
# tests/chaos/test_deliveries.py measures it: median 1.5 s, p99 4 s. Here the machine may be busy with other suites.
ARRIVES_WITHIN_SECONDS = 10


@pytest.fixture(scope="module")
def grace(stack: Stack, first: Account) -> Account:
    return register(stack, "grace-of-webhooks")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def webhook(stack: Stack, grace: Account, receiver: Receiver) -> Iterator[dict[str, Any]]:
    """A webhook for all events, whose receiver has the secret."""
    response = stack.call("POST", "/api/webhooks", token=grace.access, json={"url": receiver.url, "events": EVENTS})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    receiver.secrets.append(created["secret"])
    yield created
    stack.call("DELETE", f"/api/webhooks/{created['id']}", token=grace.access)


def create_task(stack: Stack, account: Account, title: str = "Read") -> dict[str, Any]:
    response = stack.call("POST", "/api/tasks", token=account.access, json={"title": title, "duration": 30})
    assert response.status_code == 201, response.text
    return {**response.json(), "request_id": response.headers["X-Request-ID"]}


def deliveries(stack: Stack, account: Account, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    response = stack.call("GET", f"/api/webhooks/{webhook['id']}/deliveries", token=account.access)
    found: list[dict[str, Any]] = response.json()
    return found


# Containers send nothing to private addresses, and the tests' receivers have one.
@pytest.mark.local
class TestDelivery:
    def test_life_of_a_task_arrives_in_order(self, stack, grace, receiver, webhook) -> None:
        task = create_task(stack, grace)
        path = f"/api/tasks/{task['id']}"
        renamed = stack.call("PATCH", path, token=grace.access, json={"title": "Write é 😀"}).json()
        assert stack.call("DELETE", path, token=grace.access).status_code == 204

        wait_until(lambda: len(receiver.of_task(task["id"])) >= 3, timeout=ARRIVES_WITHIN_SECONDS)

        messages = receiver.of_task(task["id"])
        assert [message.type for message in messages] == EVENTS
        members = ("id", "title", "duration", "created_at", "updated_at")
        assert messages[0].data == {name: task[name] for name in members}
        assert messages[1].data == messages[2].data == renamed
        assert len({message.id for message in messages}) == 3
        assert receiver.refused == []

    def test_one_id_leads_from_the_request_to_the_receiver(self, stack, grace, receiver, webhook) -> None:
        task = create_task(stack, grace)
        wait_until(lambda: receiver.of_task(task["id"]), timeout=ARRIVES_WITHIN_SECONDS)
        assert receiver.of_task(task["id"])[0].headers["X-Request-ID"] == task["request_id"]
        lines = stack.wait_for_entries(task["request_id"], count=3, timeout=ARRIVES_WITHIN_SECONDS)
        assert sorted((line["service"], line["message"]) for line in lines) == [
            ("scheduler", "delivery"),
            ("scheduler", "event relayed"),
            ("tasks", "request"),
        ]

    def test_owner_sees_how_it_went(self, stack, grace, receiver, webhook) -> None:
        task = create_task(stack, grace)
        delivered = wait_until(
            lambda: [one for one in deliveries(stack, grace, webhook) if one["state"] == "delivered"],
            timeout=ARRIVES_WITHIN_SECONDS,
        )
        [delivery] = delivered
        assert (delivery["task_id"], delivery["status"], delivery["attempts"]) == (task["id"], 204, 1)
        assert delivery["message_id"] == receiver.messages[0].id

    def test_failure_is_tried_again(self, stack, grace, receiver, webhook) -> None:
        receiver.status = 503
        task = create_task(stack, grace)
        failed = wait_until(
            lambda: [one for one in deliveries(stack, grace, webhook) if one["attempts"]],
            timeout=ARRIVES_WITHIN_SECONDS,
        )
        assert (failed[0]["state"], failed[0]["status"]) == ("pending", 503)
        assert failed[0]["error"] == "The response's status is 503."
        receiver.status = 204
        wait_until(lambda: len(receiver.of_task(task["id"])) >= 2, timeout=5 + ARRIVES_WITHIN_SECONDS)
        first, second = receiver.of_task(task["id"])
        assert first.id == second.id

    def test_ping(self, stack, grace, receiver, webhook) -> None:
        response = stack.call("POST", f"/api/webhooks/{webhook['id']}/test", token=grace.access)
        assert response.status_code == 202
        wait_until(lambda: receiver.messages, timeout=ARRIVES_WITHIN_SECONDS)
        assert (receiver.messages[0].type, receiver.messages[0].data) == ("webhook.ping", {"webhook_id": webhook["id"]})
        wait_until(
            lambda: stack.call("GET", response.headers["Location"], token=grace.access).json()["state"] == "delivered",
            timeout=5,
        )

    def test_both_secrets_verify_after_an_exchange(self, stack, grace, receiver, webhook) -> None:
        exchanged = stack.call("POST", f"/api/webhooks/{webhook['id']}/secret", token=grace.access).json()
        assert exchanged["secret"] != webhook["secret"]
        for secret in (webhook["secret"], exchanged["secret"]):
            receiver.secrets = [secret]
            task = create_task(stack, grace)
            wait_until(lambda task=task: receiver.of_task(task["id"]), timeout=ARRIVES_WITHIN_SECONDS)

    def test_delivery_is_sent_again_on_request(self, stack, grace, receiver, webhook) -> None:
        task = create_task(stack, grace)
        [delivery] = wait_until(
            lambda: [one for one in deliveries(stack, grace, webhook) if one["state"] == "delivered"],
            timeout=ARRIVES_WITHIN_SECONDS,
        )
        path = f"/api/webhooks/{webhook['id']}/deliveries/{delivery['id']}/redelivery"
        assert stack.call("POST", path, token=grace.access).status_code == 202
        wait_until(lambda: len(receiver.of_task(task["id"])) == 2, timeout=ARRIVES_WITHIN_SECONDS)
        first, second = receiver.of_task(task["id"])
        assert first.id == second.id

    def test_gone_disables_the_webhook_and_says_why(self, stack, grace, receiver, webhook) -> None:
        receiver.status = 410
        create_task(stack, grace)
        path = f"/api/webhooks/{webhook['id']}"
        wait_until(
            lambda: not stack.call("GET", path, token=grace.access).json()["enabled"], timeout=ARRIVES_WITHIN_SECONDS
        )
        disabled = stack.call("GET", path, token=grace.access).json()
        assert disabled["disabled_reason"] == "The receiver responded with 410 Gone."
        assert stack.call("POST", f"{path}/test", token=grace.access).status_code == 409

    def test_what_happens_while_it_is_disabled_is_not_sent(self, stack, grace, receiver, webhook) -> None:
        path = f"/api/webhooks/{webhook['id']}"
        stack.call("PATCH", path, token=grace.access, json={"enabled": False})
        silent = create_task(stack, grace)
        # The log is read in order: once a later event has reached another receiver, this one has been skipped.
        with receiving() as other:
            body = {"url": other.url, "events": EVENTS}
            created = stack.call("POST", "/api/webhooks", token=grace.access, json=body).json()
            other.secrets.append(created["secret"])
            later = create_task(stack, grace)
            wait_until(lambda: other.of_task(later["id"]), timeout=ARRIVES_WITHIN_SECONDS)
            stack.call("DELETE", f"/api/webhooks/{created['id']}", token=grace.access)
        assert receiver.of_task(silent["id"]) == []

    def test_strangers_hear_nothing(self, stack, eve, receiver, webhook) -> None:
        task = create_task(stack, eve)
        with receiving() as other:
            body = {"url": other.url, "events": EVENTS}
            created = stack.call("POST", "/api/webhooks", token=eve.access, json=body).json()
            other.secrets.append(created["secret"])
            later = create_task(stack, eve)
            wait_until(lambda: other.of_task(later["id"]), timeout=ARRIVES_WITHIN_SECONDS)
            stack.call("DELETE", f"/api/webhooks/{created['id']}", token=eve.access)
        assert receiver.of_task(task["id"]) == receiver.of_task(later["id"]) == []


@pytest.mark.parametrize("number", range(3))
def test_eve_cannot_tell_graces_webhook_from_none(stack: Stack, eve: Account, grace: Account, number: int) -> None:
    body = {"url": "https://receiver.example/", "events": EVENTS}
    webhook = stack.call("POST", "/api/webhooks", token=grace.access, json=body).json()
    method, suffix, changes = [("GET", "", None), ("POST", "/secret", None), ("PATCH", "", {"enabled": False})][number]
    foreign, missing = (
        stack.call(method, f"/api/webhooks/{one}{suffix}", token=eve.access, json=changes)
        for one in (webhook["id"], 2**62)
    )
    assert foreign.status_code == missing.status_code == 404
    assert {**foreign.json(), "instance": "", "request_id": ""} == {**missing.json(), "instance": "", "request_id": ""}
    stack.call("DELETE", f"/api/webhooks/{webhook['id']}", token=grace.access)


@pytest.mark.containers
def test_containers_send_nothing_to_private_addresses(stack: Stack, grace: Account) -> None:
    refused = {"url": "http://10.0.0.1:8000/", "events": EVENTS}
    assert stack.call("POST", "/api/webhooks", token=grace.access, json=refused).status_code == 400
    inside = {"url": "http://auth:8000/", "events": EVENTS}
    webhook = stack.call("POST", "/api/webhooks", token=grace.access, json=inside).json()
    stack.call("POST", f"/api/webhooks/{webhook['id']}/test", token=grace.access)
    [failed] = wait_until(
        lambda: [one for one in deliveries(stack, grace, webhook) if one["attempts"]], timeout=ARRIVES_WITHIN_SECONDS
    )
    assert (failed["status"], failed["error"]) == (None, "The host does not resolve to a public address.")
    stack.call("DELETE", f"/api/webhooks/{webhook['id']}", token=grace.access)
