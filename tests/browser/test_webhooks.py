"""Webhooks: added, tested with the test's own receiver, shown with the outcome of each delivery, removed."""

import http.server
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from browser.console import Console
from support.accounts import Account
from support.stack import LocalStack

# A delivery takes a second or two after the 201, and longer on a busy machine.
DELIVERED_WITHIN_MS = 15_000


class Receiver(http.server.ThreadingHTTPServer):
    """A receiver that responds to every delivery with ``status``."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(http.server.BaseHTTPRequestHandler):
    """Records the ids of the messages received."""

    server: Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(self.headers["webhook-id"])
        body = b"<b>thanks</b>" if self.server.status == 200 else b"no, not today"
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.fixture
def webhooks(desk: Console, stack: LocalStack, resident: Account) -> Console:
    """The console with the webhooks' section open and no webhooks."""
    for webhook in stack.call("GET", "/api/webhooks", token=resident.access).json():
        stack.call("DELETE", f"/api/webhooks/{webhook['id']}", token=resident.access)
    desk.button("Webhooks").click()
    expect(desk.page.get_by_text("No webhooks yet.")).to_be_visible()
    return desk


def rows(console: Console) -> Locator:
    return console.page.locator("#webhooks-list > li")


def add(console: Console, url: str) -> Locator:
    console.box("URL").fill(url)
    console.button("Add webhook").click()
    expect(rows(console)).to_have_count(1)
    return rows(console).first


@pytest.mark.usefixtures("screen")
def test_a_webhook_is_added_and_its_secret_is_shown_once(
    webhooks: Console, stack: LocalStack, receiver: Receiver
) -> None:
    webhooks.page.get_by_role("checkbox", name="task.deleted").uncheck()
    row = add(webhooks, receiver.url)

    secret = webhooks.page.get_by_role("group", name="Signing secret")
    expect(secret).to_contain_text(re.compile(r"whsec_[A-Za-z0-9+/=]{24,}"))
    expect(secret).to_be_focused()
    expect(row).to_contain_text("task.created, task.renamed")
    secret.get_by_role("button", name="I have saved it").click()
    expect(webhooks.page.get_by_text("whsec_")).to_have_count(0)

    webhooks.page.reload()
    expect(rows(webhooks)).to_have_count(1)
    expect(webhooks.page.get_by_text("whsec_")).to_have_count(0)
    [stored] = stack.call("GET", "/api/webhooks", token=webhooks.access()).json()
    assert (stored["url"], stored["events"]) == (receiver.url, ["task.created", "task.renamed"])


@pytest.mark.parametrize(
    ("url", "message"), [("", "blank|empty"), ("ftp://example.org/", "http"), ("http://169.254.169.254/", "address")]
)
def test_a_url_that_is_refused_is_said_beside_its_field(webhooks: Console, url: str, message: str) -> None:
    webhooks.box("URL").fill(url)
    webhooks.button("Add webhook").click()

    expect(webhooks.alert).to_contain_text(re.compile(message))
    expect(webhooks.box("URL")).to_be_focused()


def test_a_webhook_for_no_event_is_refused_beside_the_events(webhooks: Console, receiver: Receiver) -> None:
    for event in ("task.created", "task.renamed", "task.deleted"):
        webhooks.page.get_by_role("checkbox", name=event).uncheck()
    webhooks.box("URL").fill(receiver.url)
    webhooks.button("Add webhook").click()

    expect(webhooks.page.get_by_role("group", name="Events").get_by_role("alert")).to_contain_text("one or more")


@pytest.mark.usefixtures("screen")
def test_a_test_is_sent_and_what_became_of_it_is_shown_and_sent_again(webhooks: Console, receiver: Receiver) -> None:
    row = add(webhooks, receiver.url)
    row.get_by_role("button", name="Send test").click()
    expect(webhooks.status).to_contain_text("Test sent.")

    delivery = row.locator(".deliveries > li").first
    expect(delivery).to_contain_text("delivered", timeout=DELIVERED_WITHIN_MS)
    expect(delivery).to_contain_text("status 200")
    expect(delivery).to_contain_text("1 attempt")
    # A receiver's response is shown as text.
    expect(delivery.locator("pre")).to_have_text("<b>thanks</b>")

    receiver.status = 500
    delivery.get_by_role("button", name="Send again").click()
    expect(delivery).to_contain_text("status is 500", timeout=DELIVERED_WITHIN_MS)
    expect(delivery).to_contain_text("next")
    expect(delivery.locator("pre")).to_have_text("no, not today")
    assert len(receiver.received) == 2


def test_a_task_that_is_added_is_delivered(webhooks: Console, receiver: Receiver) -> None:
    row = add(webhooks, receiver.url)
    webhooks.add("Delivered")
    row.get_by_text("Deliveries", exact=True).click()

    delivery = row.locator(".deliveries > li").first
    refresh = row.get_by_role("button", name="Refresh")
    expect(refresh).to_be_visible()
    for _ in range(DELIVERED_WITHIN_MS // 500):
        if delivery.count() and "delivered" in delivery.inner_text():
            break
        refresh.click()
        webhooks.page.wait_for_timeout(500)
    expect(delivery).to_contain_text("task.created")
    assert len(receiver.received) == 1


def test_a_webhook_is_disabled_enabled_and_removed(webhooks: Console, stack: LocalStack, receiver: Receiver) -> None:
    row = add(webhooks, receiver.url)
    row.get_by_role("button", name="Disable").click()
    expect(row.get_by_text("disabled", exact=True)).to_be_visible()
    row.get_by_role("button", name="Send test").click()
    expect(webhooks.status).to_contain_text("disabled")
    row.get_by_role("button", name="Enable").click()
    expect(row.get_by_text("disabled", exact=True)).to_be_hidden()

    row.get_by_role("button", name="Remove").click()

    expect(webhooks.page.get_by_text("No webhooks yet.")).to_be_visible()
    assert stack.call("GET", "/api/webhooks", token=webhooks.access()).json() == []


def test_a_new_secret_takes_the_place_of_the_one_before(webhooks: Console, receiver: Receiver) -> None:
    row = add(webhooks, receiver.url)
    value = webhooks.page.locator("#secret-value")
    first = value.inner_text()
    row.get_by_role("button", name="New secret").click()

    expect(value).not_to_have_text(first)
    expect(value).to_have_text(re.compile("whsec_"))
