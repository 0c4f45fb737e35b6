"""Working with tasks, on a wide screen and on a phone."""

import contextlib
import re

import pytest
from playwright.sync_api import expect

from browser.console import Console
from support.stack import LocalStack

pytestmark = pytest.mark.usefixtures("screen")


def stored(stack: LocalStack, console: Console) -> list[str]:
    tasks = stack.call("GET", "/api/tasks?limit=100", token=console.access()).json()
    return [task["title"] for task in tasks]


def add_by_api(stack: LocalStack, console: Console, *titles: str) -> None:
    for title in titles:
        response = stack.call("POST", "/api/tasks", token=console.access(), json={"title": title, "duration": 5})
        assert response.status_code == 201


def rename_by_api(stack: LocalStack, console: Console, title: str) -> None:
    [task] = stack.call("GET", "/api/tasks?limit=1", token=console.access()).json()
    stack.call("PATCH", f"/api/tasks/{task['id']}", token=console.access(), json={"title": title})


def test_the_first_task_is_added_to_an_empty_list(desk: Console, stack: LocalStack) -> None:
    expect(desk.page.get_by_text("No tasks yet.")).to_be_visible()

    desk.add("Write the report", "90")

    expect(desk.status).to_contain_text("“Write the report” added.")
    expect(desk.row("Write the report")).to_contain_text("1 h 30 min")
    expect(desk.page.get_by_text("No tasks yet.")).to_be_hidden()
    expect(desk.box("Title")).to_be_focused()
    expect(desk.box("Title")).to_have_value("")
    assert stored(stack, desk) == ["Write the report"]


@pytest.mark.parametrize(
    ("title", "minutes", "box", "message"),
    [
        ("", "5", "Title", "Must not be empty."),
        ("x" * 201, "5", "Title", "200"),
        ("Read", "0", "Duration (minutes)", "from 1 to 525600"),
        ("Read", "ten", "Duration (minutes)", "whole number"),
        ("Read", "5.0", "Duration (minutes)", "whole number"),
        ("Read", "", "Duration (minutes)", "whole number"),
    ],
)
def test_a_refusal_is_said_beside_its_field_and_goes_as_the_person_types(
    desk: Console, title: str, minutes: str, box: str, message: str
) -> None:
    desk.box("Title").fill(title)
    desk.box("Duration (minutes)").fill(minutes)
    desk.button("Add task").click()

    expect(desk.alert).to_contain_text(message)
    field = desk.box(box)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile(re.escape(message)))
    expect(desk.box("Title")).to_have_value(title)

    field.press_sequentially("1")
    expect(desk.alert).to_have_count(0)
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_the_last_four_are_shown_and_older_ones_page_by_page(desk: Console, stack: LocalStack) -> None:
    add_by_api(stack, desk, *"abcdefghij")
    desk.page.reload()
    expect(desk.rows).to_have_count(4)
    assert desk.titles() == [*"jihg"]

    desk.button("Load more").click()
    expect(desk.rows).to_have_count(8)
    # The focus moves to the first of the new tasks.
    expect(desk.rows.nth(4)).to_be_focused()
    desk.button("Load more").click()

    expect(desk.rows).to_have_count(10)
    assert desk.titles() == [*"jihgfedcba"]
    expect(desk.button("Load more")).to_be_hidden()
    expect(desk.status).to_contain_text("There are no more")


def test_a_task_that_comes_while_pages_are_read_is_neither_skipped_nor_doubled(
    desk: Console, stack: LocalStack
) -> None:
    add_by_api(stack, desk, *"abcdef")
    desk.page.reload()
    desk.loaded()
    desk.add("new")
    desk.button("Load more").click()

    expect(desk.rows).to_have_count(7)
    assert desk.titles() == ["new", *"fedcba"]


def test_renaming_in_place_by_button_and_by_enter(desk: Console, stack: LocalStack) -> None:
    desk.add("Reed")
    desk.page.reload()

    row = desk.rows.first
    row.get_by_role("button", name="Rename").click()
    box = row.get_by_role("textbox", name="Title")
    expect(box).to_be_focused()
    expect(box).to_have_value("Reed")
    box.fill("Read")
    row.get_by_role("button", name="Rename").click()
    expect(desk.status).to_contain_text("Renamed to “Read”.")
    expect(row.get_by_role("button", name="Rename")).to_be_focused()

    row.get_by_role("button", name="Rename").click()
    box.fill("Read it all")
    box.press("Enter")
    expect(desk.row("Read it all")).to_be_visible()
    assert stored(stack, desk) == ["Read it all"]


def test_renaming_is_left_by_escape_and_refused_beside_its_field(desk: Console, stack: LocalStack) -> None:
    desk.add("Read")
    row = desk.rows.first
    row.get_by_role("button", name="Rename").click()
    box = row.get_by_role("textbox", name="Title")
    box.fill(" ")
    box.press("Enter")
    expect(row.get_by_role("alert")).to_have_text("Must not be empty.")

    box.press("Escape")

    expect(box).to_have_count(0)
    expect(row).to_contain_text("Read")
    assert stored(stack, desk) == ["Read"]


@pytest.mark.parametrize(("choice", "kept"), [("Keep theirs", "Theirs"), ("Use yours", "Mine")])
@pytest.mark.parametrize("known", [True, False], ids=["with its version", "from the list"])
def test_a_task_renamed_elsewhere_shows_both_titles_and_the_person_chooses(
    desk: Console, stack: LocalStack, choice: str, kept: str, known: bool
) -> None:
    desk.add("Draft")
    if not known:
        desk.page.reload()
    row = desk.rows.first
    with (
        desk.page.expect_response(lambda response: "/api/tasks/" in response.url)
        if not known
        else contextlib.nullcontext()
    ):
        row.get_by_role("button", name="Rename").click()
    rename_by_api(stack, desk, "Theirs")
    row.get_by_role("textbox", name="Title").fill("Mine")
    row.get_by_role("button", name="Rename").click()

    expect(row.get_by_role("alert")).to_contain_text("renamed elsewhere")
    expect(row).to_contain_text("Theirs")
    expect(row).to_contain_text("Mine")
    assert stored(stack, desk) == ["Theirs"]

    row.get_by_role("button", name=choice).click()

    expect(row.get_by_role("button", name="Delete")).to_be_visible()
    assert desk.titles() == [kept]
    assert stored(stack, desk) == [kept]


def test_a_task_renamed_before_the_person_begins_is_not_overwritten_unseen(desk: Console, stack: LocalStack) -> None:
    desk.add("Draft")
    desk.page.reload()
    desk.loaded()
    rename_by_api(stack, desk, "Theirs")

    row = desk.rows.first
    row.get_by_role("button", name="Rename").click()

    expect(row.get_by_role("textbox", name="Title")).to_have_value("Theirs")


def test_a_task_deleted_elsewhere_is_said_and_goes(desk: Console, stack: LocalStack) -> None:
    desk.add("Gone")
    [task] = stack.call("GET", "/api/tasks", token=desk.access()).json()
    row = desk.rows.first
    row.get_by_role("button", name="Rename").click()
    stack.call("DELETE", f"/api/tasks/{task['id']}", token=desk.access())
    row.get_by_role("textbox", name="Title").press("Enter")

    expect(desk.status).to_contain_text("“Gone” was deleted elsewhere.")
    expect(desk.rows).to_have_count(0)


def test_deleting_is_undone_with_the_very_task_in_its_place(desk: Console, stack: LocalStack) -> None:
    add_by_api(stack, desk, *"abc")
    desk.page.reload()
    before = stack.call("GET", "/api/tasks", token=desk.access()).json()

    desk.row("b").get_by_role("button", name="Delete").click()
    expect(desk.status).to_contain_text("“b” deleted.")
    assert desk.titles() == ["c", "a"]
    desk.button("Undo").click()

    expect(desk.rows).to_have_count(3)
    assert desk.titles() == ["c", "b", "a"]
    desk.page.reload()
    expect(desk.rows).to_have_count(3)
    assert stack.call("GET", "/api/tasks", token=desk.access()).json() == before


@pytest.mark.usefixtures("spoils_tab")
def test_deleting_without_undo_deletes_after_a_few_seconds(desk: Console, stack: LocalStack) -> None:
    desk.add("a")
    desk.add("b")
    desk.page.clock.install()
    desk.row("a").get_by_role("button", name="Delete").click()

    with desk.page.expect_response(lambda response: response.request.method == "DELETE") as response:
        desk.page.clock.run_for(7_500)

    assert response.value.status == 204
    expect(desk.button("Undo")).to_have_count(0)
    assert stored(stack, desk) == ["b"]


def test_the_next_action_and_a_reload_delete_for_good(desk: Console, stack: LocalStack) -> None:
    for title in "abc":
        desk.add(title)
    desk.row("a").get_by_role("button", name="Delete").click()
    with desk.page.expect_response(lambda response: response.request.method == "DELETE"):
        desk.row("b").get_by_role("button", name="Delete").click()
    assert stored(stack, desk) == ["c", "b"]

    desk.page.reload()

    expect(desk.rows).to_have_count(1)
    assert stored(stack, desk) == ["c"]


def test_a_deletion_that_the_page_could_not_send_as_it_went_is_sent_by_the_next(
    desk: Console, stack: LocalStack
) -> None:
    for title in "ab":
        desk.add(title)
    # After the first deletion's response, the second one is still unsent.
    desk.row("b").get_by_role("button", name="Delete").click()
    with desk.page.expect_response(lambda response: response.request.method == "DELETE"):
        desk.row("a").get_by_role("button", name="Delete").click()
    # The page is left, and the request that it then sends is lost.
    desk.page.route("**/api/tasks/*", lambda route: route.abort(), times=1)
    with desk.page.expect_event("requestfailed"):
        desk.page.evaluate("dispatchEvent(new Event('pagehide'))")
    desk.page.reload()

    expect(desk.page.get_by_text("No tasks yet.")).to_be_visible()
    assert stored(stack, desk) == []


def test_a_task_renamed_elsewhere_is_not_deleted_by_who_has_not_seen_it(desk: Console, stack: LocalStack) -> None:
    desk.add("Mine")
    rename_by_api(stack, desk, "Important now")
    desk.rows.first.get_by_role("button", name="Delete").click()
    desk.page.evaluate("dispatchEvent(new Event('pagehide'))")

    expect(desk.status).to_contain_text("was not deleted: it was renamed elsewhere.")
    expect(desk.rows).to_have_count(1)
    assert stored(stack, desk) == ["Important now"]
