"""The console's messages while the server does not respond, and its recovery once it does."""

import re
import time

from playwright.sync_api import Page, Route, expect

from browser.console import Console
from support.stack import LocalStack


def test_offline_is_said_and_what_was_sent_meanwhile_arrives_once(desk: Console, stack: LocalStack) -> None:
    desk.page.context.set_offline(True)
    desk.box("Title").fill("From the train")
    desk.box("Duration (minutes)").fill("5")
    desk.button("Add task").click()
    expect(desk.alert).to_contain_text("You are offline.")
    expect(desk.box("Title")).to_have_value("From the train")

    desk.page.context.set_offline(False)

    expect(desk.row("From the train")).to_be_visible()
    expect(desk.alert).to_have_count(0)
    assert len(stack.call("GET", "/api/tasks", token=desk.access()).json()) == 1


def test_a_reload_while_a_service_is_away_recovers_without_the_person(desk: Console, stack: LocalStack) -> None:
    desk.add("Still here")
    for part in stack.parts("tasks.sock"):
        part.kill()

    desk.page.reload()

    expect(desk.alert).to_contain_text(re.compile(r"\((502|503|504)\)"))
    expect(desk.page.get_by_text(re.compile(r"Trying again in \d+ s\."))).to_be_visible()
    expect(desk.row("Still here")).to_be_visible(timeout=20_000)
    expect(desk.alert).to_have_count(0)


def test_a_service_that_is_killed_in_the_middle_and_back_loses_and_doubles_nothing(
    desk: Console, stack: LocalStack
) -> None:
    for part in stack.parts("tasks.sock"):
        part.kill()
    desk.box("Title").fill("Sent into the gap")
    desk.box("Duration (minutes)").fill("5")
    desk.button("Add task").click()

    expect(desk.row("Sent into the gap")).to_be_visible(timeout=20_000)
    assert [task["title"] for task in stack.call("GET", "/api/tasks", token=desk.access()).json()] == [
        "Sent into the gap"
    ]


def test_a_renewal_that_cannot_be_sent_does_not_log_out(desk: Console, stack: LocalStack) -> None:
    desk.page.context.set_offline(True)
    now = int(time.time() * 1000)
    desk.change_session(since=now - 400_000, until=now - 100_000)
    desk.button("Sessions").click()
    expect(desk.alert).to_contain_text("You are offline.")

    desk.page.context.set_offline(False)

    expect(desk.page.get_by_text("this session", exact=True)).to_be_visible()


def test_a_response_that_is_lost_is_asked_for_again_and_makes_no_second_task(desk: Console, stack: LocalStack) -> None:
    sent: list[str | None] = []

    def lose_the_first(route: Route) -> None:
        sent.append(route.request.headers.get("idempotency-key"))
        if len(sent) > 1:
            route.continue_()
            return
        assert route.fetch().status == 201
        route.abort()

    desk.page.route("**/api/tasks", lose_the_first)
    desk.box("Title").fill("Once")
    desk.box("Duration (minutes)").fill("5")
    desk.button("Add task").click()

    expect(desk.row("Once")).to_be_visible()
    assert len(sent) == 2
    assert sent[0] == sent[1] is not None
    assert [task["title"] for task in stack.all_tasks(token=desk.access())] == ["Once"]


def test_a_page_of_which_a_part_is_lost_is_loaded_again(page: Page, stack: LocalStack) -> None:
    page.route("**/console/tasks.js", lambda route: route.abort(), times=1)
    page.goto(stack.url)

    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_page_of_which_a_part_stays_away_says_so(page: Page, stack: LocalStack) -> None:
    page.route("**/console/tasks.js", lambda route: route.abort())
    page.goto(stack.url)

    expect(page.get_by_text("A part of this page failed to load.")).to_be_visible()
    expect(page.get_by_role("link", name="Reload the page")).to_be_visible()
