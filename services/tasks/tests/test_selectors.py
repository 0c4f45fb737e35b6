import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servicekit.http.pagination import Cursor, Page
from tasks.selectors import list_tasks, page_query, retrieve_task
from tests.conftest import AT

pytestmark = pytest.mark.django_db

FIRST = Page(limit=4, before=None)
SECOND = datetime.timedelta(seconds=1)


def ids(owner_id: int, page: Page) -> tuple[list[int], bool]:
    tasks, more = list_tasks(owner_id=owner_id, page=page)
    return [task.id for task in tasks], more


def test_list_of_a_user_without_tasks_is_empty():
    assert list_tasks(owner_id=1, page=FIRST) == ([], False)


def test_newest_come_first_and_of_the_owner_only(make_task):
    middle, newest, oldest = (make_task(created_at=AT + n * SECOND) for n in (1, 2, 0))
    make_task(owner_id=2)
    assert ids(1, FIRST) == ([newest.id, middle.id, oldest.id], False)


def test_of_equal_times_the_higher_id_comes_first(make_task):
    first, second = make_task(created_at=AT), make_task(created_at=AT)
    assert ids(1, FIRST) == ([second.id, first.id], False)


@pytest.mark.parametrize(("count", "more"), [(3, False), (4, False), (5, True)])
def test_whether_there_are_more(make_task, count, more):
    made = [make_task() for _ in range(count)]
    assert ids(1, FIRST) == ([task.id for task in reversed(made)][:4], more)


def test_after_a_cursor_come_the_older_ones(make_task):
    made = [make_task(created_at=AT + n // 2 * SECOND) for n in range(6)]
    order = [task.id for task in reversed(made)]
    for place, task in enumerate(reversed(made), start=1):
        page = Page(limit=2, before=Cursor(at=task.created_at, id=task.id))
        assert ids(1, page) == (order[place : place + 2], len(order) > place + 2)


def test_cursor_may_be_of_a_task_that_is_gone(make_task):
    older, deleted = make_task(), make_task()
    page = Page(limit=4, before=Cursor(at=deleted.created_at, id=deleted.id))
    deleted.delete()
    assert ids(1, page) == ([older.id], False)


@pytest.mark.parametrize("before", [None, Cursor(at=AT, id=5)])
def test_page_is_one_statement(make_task, django_assert_num_queries, before):
    for _ in range(6):
        make_task()
    with django_assert_num_queries(1):
        list_tasks(owner_id=1, page=Page(limit=4, before=before))


def test_rows_are_equal_to_retrieved_ones(make_task):
    task = make_task()
    assert list_tasks(owner_id=1, page=FIRST)[0] == [retrieve_task(task_id=task.id, owner_id=1)]


PAGES = pytest.mark.parametrize(
    "page",
    [FIRST, Page(limit=1, before=None), Page(limit=100, before=None), Page(limit=2, before=Cursor(at=AT, id=5))],
    ids=["first", "shortest", "longest", "after a cursor"],
)


@PAGES
def test_what_is_sent_is_what_the_orm_makes_of_the_query(db, page):
    with CaptureQueriesContext(connection) as queries:
        list_tasks(owner_id=7, page=page)
        list(page_query(owner_id=7, limit=page.limit, before=page.before))
    compiled, made_now = (query["sql"] for query in queries.captured_queries)
    assert compiled == made_now


@PAGES
def test_rows_are_those_that_the_orm_returns(make_task, page):
    for number in range(6):
        make_task(created_at=AT - number * SECOND)
    tasks, more = list_tasks(owner_id=1, page=page)
    rows = list(page_query(owner_id=1, limit=page.limit, before=page.before))
    assert tasks == rows[: page.limit]
    assert more == (len(rows) > page.limit)
    assert tasks
