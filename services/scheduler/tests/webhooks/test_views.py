"""The HTTP contract of webhooks."""

import datetime
import json
from typing import Any

import pytest
import time_machine
from django.test import Client

from servicekit.testing import bearer
from tests.webhooks.support import MINUTE, NOW, make_delivery, make_endpoint
from webhooks import services
from webhooks.encryption import decrypt
from webhooks.models import NEVER, Delivery, Endpoint

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://receiver.example/hooks"
BODY = {"url": URL, "events": ["task.created", "task.deleted"]}


class API:
    """A client that sends requests as one user."""

    def __init__(self, user_id: int) -> None:
        self._client = Client(raise_request_exception=False)
        self._user_id = user_id

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        arguments = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(self._client, method.lower())(path, headers=bearer(self._user_id) | headers, **arguments)


@pytest.fixture
def api() -> API:
    return API(1)


@pytest.fixture
def stranger() -> API:
    return API(2)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def test_create(api):
    response = api("POST", "/api/webhooks", BODY)
    assert response.status_code == 201
    webhook = response.json()
    endpoint = Endpoint.objects.get()
    secret = webhook.pop("secret")
    assert webhook == {
        "id": endpoint.id,
        "url": URL,
        "events": ["task.created", "task.deleted"],
        "enabled": True,
        "disabled_reason": None,
        "failing_since": None,
        "created_at": "2026-01-31T09:30:00.000000Z",
        "updated_at": "2026-01-31T09:30:00.000000Z",
    }
    assert response["Location"] == f"/api/webhooks/{endpoint.id}"
    assert response["Cache-Control"] == "no-store"
    assert secret.startswith("whsec_")
    assert decrypt(endpoint.secret) == secret
    assert secret.removeprefix("whsec_") not in endpoint.secret


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"url": None}, {"url"}),
        ({"url": 1}, {"url"}),
        ({"url": ""}, {"url"}),
        ({"url": "http://127.0.0.1/"}, {"url"}),
        ({"url": "http://2130706433/"}, {"url"}),
        ({"url": "https://user@example.com/"}, {"url"}),
        ({"url": "https://example.com:22/"}, {"url"}),
        ({"events": []}, {"events"}),
        ({"events": "task.created"}, {"events"}),
        ({"events": ["task.created", "task.created"]}, {"events"}),
        ({"events": ["task.exploded"]}, {"events"}),
        ({"events": [["task.created"]]}, {"events"}),
        ({"events": [{}]}, {"events"}),
        ({"events": None}, {"events"}),
        ({"secret": "whsec_mine"}, {"secret"}),
        ({"enabled": False}, {"enabled"}),
        ({"owner_id": 2}, {"owner_id"}),
        ({"url": 1, "events": 1, "x": 1}, {"url", "events", "x"}),
    ],
)
def test_create_refuses_what_it_does_not_take(api, change, fields):
    response = api("POST", "/api/webhooks", {**BODY, **change})
    assert response.status_code == 400
    assert set(response.json()["errors"]) == fields
    assert not Endpoint.objects.exists()


def test_create_needs_both_fields(api):
    assert set(api("POST", "/api/webhooks", {}).json()["errors"]) == {"url", "events"}


def test_private_url_is_taken_where_the_setting_says_so(api, settings):
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = True
    assert api("POST", "/api/webhooks", {**BODY, "url": "http://127.0.0.1:9000/"}).status_code == 201


class TestIdempotencyKey:
    KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}

    def create(self, api: API, **changes: Any) -> Any:
        return api("POST", "/api/webhooks", {**BODY, **changes}, **self.KEY)

    def test_sent_again_is_answered_as_before_and_makes_nothing(self, api):
        first, again = self.create(api), self.create(api)
        assert "Idempotency-Replayed" not in first
        assert again["Idempotency-Replayed"] == "true"
        assert (again.status_code, again.content, again["Location"]) == (201, first.content, first["Location"])
        assert Endpoint.objects.count() == 1

    def test_order_of_the_events_makes_no_difference(self, api):
        self.create(api)
        assert self.create(api, events=BODY["events"][::-1])["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize("change", [{"url": f"{URL}/other"}, {"events": ["task.created"]}])
    def test_another_body_is_422_and_makes_nothing(self, api, change):
        self.create(api)
        response = self.create(api, **change)
        assert (response.status_code, response.json()["type"]) == (422, "/problems/unprocessable-content")
        assert Endpoint.objects.count() == 1

    def test_key_is_each_users_own(self, api, stranger):
        assert "Idempotency-Replayed" not in self.create(api)
        assert "Idempotency-Replayed" not in self.create(stranger)

    def test_key_lasts_a_day(self, api, clock):
        self.create(api)
        clock.shift(datetime.timedelta(hours=24, seconds=-1))
        assert "Idempotency-Replayed" in self.create(api)
        clock.shift(1)
        assert "Idempotency-Replayed" not in self.create(api, url=f"{URL}/other")
        assert Endpoint.objects.count() == 2

    def test_key_of_a_deleted_webhook_can_be_used_again(self, api):
        path = self.create(api)["Location"]
        api("DELETE", path)
        assert "Idempotency-Replayed" not in self.create(api)

    def test_repeat_of_the_tenth_is_no_eleventh(self, api):
        for _ in range(9):
            api("POST", "/api/webhooks", BODY)
        assert [self.create(api).status_code for _ in range(2)] == [201, 201]
        assert Endpoint.objects.count() == 10

    def test_of_two_at_once_one_makes_it(self, api, monkeypatch):
        """The other request commits between this one's query and insert."""
        real = services._insert_endpoint
        others = []

        def insert(**arguments: Any) -> Any:
            if not others:
                others.append(real(**arguments))
            return real(**arguments)

        monkeypatch.setattr(services, "_insert_endpoint", insert)
        response = self.create(api)
        assert (response.status_code, response["Idempotency-Replayed"]) == (201, "true")
        assert response.json()["secret"] == others[0].secret
        assert Endpoint.objects.count() == 1

    def test_malformed_key_is_refused(self, api):
        assert api("POST", "/api/webhooks", BODY, **{"Idempotency-Key": '"'}).status_code == 400
        assert not Endpoint.objects.exists()

    def test_key_is_not_stored(self, api):
        self.create(api)
        assert self.KEY["Idempotency-Key"] not in str(Endpoint.objects.values().get())


class TestLimit:
    def test_is_ten(self, api, stranger):
        assert [api("POST", "/api/webhooks", BODY).status_code for _ in range(11)] == [201] * 10 + [409]
        problem = api("POST", "/api/webhooks", BODY).json()
        assert (problem["type"], problem["detail"]) == (
            "/problems/conflict",
            "You have 10 webhooks, which is the limit; delete one first.",
        )
        assert stranger("POST", "/api/webhooks", BODY).status_code == 201

    def test_place_of_a_deleted_one_is_free(self, api):
        ids = [api("POST", "/api/webhooks", BODY).json()["id"] for _ in range(10)]
        assert api("DELETE", f"/api/webhooks/{ids[4]}").status_code == 204
        assert api("POST", "/api/webhooks", BODY).status_code == 201
        assert api("POST", "/api/webhooks", BODY).status_code == 409

    def test_holds_where_another_request_takes_the_place_in_between(self, api, monkeypatch):
        """Two concurrent requests see the same free slot, and the other one takes it first."""
        real = services._insert_endpoint
        taken = []

        def insert(**arguments: Any) -> Any:
            if not taken:
                taken.append(make_endpoint(slot=arguments["slot"]))
            return real(**arguments)

        for _ in range(8):
            api("POST", "/api/webhooks", BODY)
        monkeypatch.setattr(services, "_insert_endpoint", insert)
        assert api("POST", "/api/webhooks", BODY).status_code == 201
        assert api("POST", "/api/webhooks", BODY).status_code == 409
        assert Endpoint.objects.count() == 10


def test_list_is_the_callers_own_newest_first(api, stranger):
    ids = [api("POST", "/api/webhooks", BODY).json()["id"] for _ in range(3)]
    stranger("POST", "/api/webhooks", BODY)
    response = api("GET", "/api/webhooks")
    assert [webhook["id"] for webhook in response.json()] == ids[::-1]
    assert "secret" not in response.json()[0]


def test_retrieve_never_shows_the_secret(api):
    created = api("POST", "/api/webhooks", BODY).json()
    del created["secret"]
    assert api("GET", f"/api/webhooks/{created['id']}").json() == created


class TestUpdate:
    @pytest.fixture
    def webhook(self, api) -> Endpoint:
        return make_endpoint(failures=3, failing_since=NOW)

    def test_changes_what_is_given(self, api, webhook, clock):
        clock.shift(MINUTE)
        path = f"/api/webhooks/{webhook.id}"
        response = api("PATCH", path, {"events": ["task.renamed"]})
        assert response.json() == {
            **response.json(),
            "url": webhook.url,
            "events": ["task.renamed"],
            "failing_since": "2026-01-31T09:30:00.000000Z",
            "updated_at": "2026-01-31T09:31:00.000000Z",
        }
        assert api("PATCH", path, {"url": URL}).json()["url"] == URL
        assert api("GET", path).json()["url"] == URL

    def test_new_url_starts_without_failures(self, api, webhook):
        assert api("PATCH", f"/api/webhooks/{webhook.id}", {"url": URL}).json()["failing_since"] is None

    def test_disables_and_enables(self, api, webhook):
        path = f"/api/webhooks/{webhook.id}"
        disabled = api("PATCH", path, {"enabled": False}).json()
        assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "You disabled it.")
        enabled = api("PATCH", path, {"enabled": True}).json()
        assert (enabled["enabled"], enabled["disabled_reason"], enabled["failing_since"]) == (True, None, None)

    def test_enables_what_was_disabled_for_its_failures(self, api):
        webhook = make_endpoint(enabled=False, disabled_reason="gone", failures=1)
        path = f"/api/webhooks/{webhook.id}"
        assert api("GET", path).json()["disabled_reason"] == "The receiver responded with 410 Gone."
        assert api("PATCH", path, {"enabled": True}).json()["enabled"]

    @pytest.mark.parametrize(
        "body", [{"enabled": 1}, {"enabled": "true"}, {"enabled": None}, {"secret": "x"}, {"id": 1}]
    )
    def test_refuses_what_it_does_not_take(self, api, webhook, body):
        response = api("PATCH", f"/api/webhooks/{webhook.id}", {"url": URL, **body})
        assert response.status_code == 400
        assert Endpoint.objects.get().url == webhook.url


def test_delete(api):
    webhook = make_endpoint()
    make_delivery(webhook)
    path = f"/api/webhooks/{webhook.id}"
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == api("DELETE", path).status_code == 404
    assert api("GET", "/api/webhooks").json() == []
    endpoint = Endpoint.objects.get()
    assert (endpoint.enabled, endpoint.secret, endpoint.due_at) == (False, "", NOW)


class TestSecret:
    def test_is_exchanged_and_both_sign_for_a_day(self, api):
        created = api("POST", "/api/webhooks", BODY).json()
        response = api("POST", f"/api/webhooks/{created['id']}/secret")
        assert response.status_code == 200
        secret = response.json()["secret"]
        assert secret != created["secret"]
        endpoint = Endpoint.objects.get()
        assert decrypt(endpoint.secret) == secret
        assert decrypt(endpoint.previous_secret) == created["secret"]
        assert endpoint.previous_until == NOW + datetime.timedelta(hours=24)

    def test_exchanged_twice_ends_the_first(self, api):
        created = api("POST", "/api/webhooks", BODY).json()
        path = f"/api/webhooks/{created['id']}/secret"
        second, third = (api("POST", path).json()["secret"] for _ in range(2))
        endpoint = Endpoint.objects.get()
        assert (decrypt(endpoint.secret), decrypt(endpoint.previous_secret)) == (third, second)


class TestPing:
    def test_is_queued(self, api):
        webhook = make_endpoint()
        response = api("POST", f"/api/webhooks/{webhook.id}/test")
        assert response.status_code == 202
        delivery = Delivery.objects.get()
        assert response.json() == {
            "id": delivery.id,
            "webhook_id": webhook.id,
            "message_id": delivery.message_id,
            "type": "webhook.ping",
            "task_id": None,
            "state": "pending",
            "attempts": 0,
            "created_at": "2026-01-31T09:30:00.000000Z",
            "attempted_at": None,
            "next_attempt_at": "2026-01-31T09:30:00.000000Z",
            "status": None,
            "latency_ms": None,
            "error": None,
            "response": None,
        }
        assert response["Location"] == f"/api/webhooks/{webhook.id}/deliveries/{delivery.id}"
        assert api("GET", response["Location"]).json() == response.json()
        assert Endpoint.objects.get().due_at == NOW

    def test_is_refused_where_the_webhook_is_disabled(self, api):
        webhook = make_endpoint(enabled=False, disabled_reason="owner")
        response = api("POST", f"/api/webhooks/{webhook.id}/test")
        assert (response.status_code, response.json()["detail"]) == (409, "The webhook is disabled; enable it first.")
        assert not Delivery.objects.exists()


class TestDeliveries:
    def test_show_how_it_went(self, api):
        webhook = make_endpoint()
        delivery = make_delivery(
            webhook,
            task_id=7,
            state="dead",
            attempts=11,
            status=500,
            latency_ms=12,
            error="The response's status is 500.",
            response="Sorry",
        )
        (shown,) = api("GET", f"/api/webhooks/{webhook.id}/deliveries").json()
        assert shown == {
            "id": delivery.id,
            "webhook_id": webhook.id,
            "message_id": delivery.message_id,
            "type": "task.created",
            "task_id": 7,
            "state": "dead",
            "attempts": 11,
            "created_at": "2026-01-31T09:30:00.000000Z",
            "attempted_at": "2026-01-31T09:30:00.000000Z",
            "next_attempt_at": None,
            "status": 500,
            "latency_ms": 12,
            "error": "The response's status is 500.",
            "response": "Sorry",
        }

    def test_are_in_pages_newest_first(self, api, clock):
        webhook = make_endpoint()
        ids = []
        for number in range(5):
            ids.append(make_delivery(webhook, task_id=number).id)
            # Two deliveries have the same time.
            clock.shift(0 if number == 1 else 1)
        seen, path = [], f"/api/webhooks/{webhook.id}/deliveries?limit=2"
        while path:
            response = api("GET", path)
            seen += [delivery["id"] for delivery in response.json()]
            path = response["Link"].partition(">")[0].removeprefix("<") if "Link" in response else ""
        assert seen == ids[::-1]

    def test_of_another_webhook_are_not_shown(self, api):
        first, second = make_endpoint(), make_endpoint()
        delivery = make_delivery(second)
        assert api("GET", f"/api/webhooks/{first.id}/deliveries").json() == []
        assert api("GET", f"/api/webhooks/{first.id}/deliveries/{delivery.id}").status_code == 404


class TestRedelivery:
    @pytest.mark.parametrize("state", ["pending", "delivered", "dead"])
    def test_is_due_with_all_attempts_before_it(self, api, state):
        webhook = make_endpoint()
        delivery = make_delivery(webhook, state=state, attempts=4, due_at=NOW + MINUTE)
        Endpoint.objects.update(due_at=NEVER)
        response = api("POST", f"/api/webhooks/{webhook.id}/deliveries/{delivery.id}/redelivery")
        assert (response.status_code, response.json()["state"], response.json()["attempts"]) == (202, "pending", 0)
        assert Delivery.objects.get().due_at == Endpoint.objects.get().due_at == NOW

    def test_is_refused_where_the_webhook_is_disabled(self, api):
        webhook = make_endpoint(enabled=False, disabled_reason="owner")
        delivery = make_delivery(webhook, state="dead")
        path = f"/api/webhooks/{webhook.id}/deliveries/{delivery.id}/redelivery"
        assert api("POST", path).status_code == 409
        assert Delivery.objects.get().state == "dead"


def routes(webhook_id: object, delivery_id: object) -> list[tuple[str, str, Any]]:
    webhook = f"/api/webhooks/{webhook_id}"
    return [
        ("GET", webhook, None),
        ("PATCH", webhook, {"enabled": False}),
        ("DELETE", webhook, None),
        ("POST", f"{webhook}/secret", None),
        ("POST", f"{webhook}/test", None),
        ("GET", f"{webhook}/deliveries", None),
        ("GET", f"{webhook}/deliveries/{delivery_id}", None),
        ("POST", f"{webhook}/deliveries/{delivery_id}/redelivery", None),
    ]


@pytest.mark.parametrize("number", range(8))
def test_another_users_is_the_same_404_as_none(stranger, number):
    webhook = make_endpoint()
    delivery = make_delivery(webhook)
    before = Endpoint.objects.values().get(), Delivery.objects.values().get()

    method, path, body = routes(webhook.id, delivery.id)[number]
    foreign = stranger(method, path, body)
    method, missing_path, body = routes(2**63 - 1, 2**63 - 1)[number]
    missing = stranger(method, missing_path, body)
    method, large_path, body = routes("9" * 19, "9" * 19)[number]
    too_large = stranger(method, large_path, body)

    assert foreign.status_code == missing.status_code == too_large.status_code == 404
    strip = {"instance": "", "request_id": ""}
    assert {**foreign.json(), **strip} == {**missing.json(), **strip} == {**too_large.json(), **strip}
    assert (Endpoint.objects.values().get(), Delivery.objects.values().get()) == before


@pytest.mark.parametrize("number", range(8))
def test_nothing_without_a_token(number):
    method, path, body = routes(1, 1)[number]
    response = Client().generic(method, path, json.dumps(body), content_type="application/json")
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/api/webhooks", "/api/webhooks/1", "/api/webhooks/1/deliveries"])
def test_slash_at_the_end_makes_no_difference(api, path):
    assert api("GET", path).status_code == api("GET", f"{path}/").status_code


@pytest.mark.parametrize("path", ["/api/webhooks/x", "/api/webhooks/-1", "/api/webhooks/١", "/api/webhooks/1/x"])
def test_other_paths_are_not_found(api, path):
    assert api("GET", path).status_code == 404
