"""The scheduler's queries for any/statement_plans.py."""

from collections.abc import Callable

from django.utils import timezone

from jobs.selectors import count_tasks, task_pages
from servicekit.http.pagination import Page
from webhooks.claims import _next_deliveries, _next_due
from webhooks.models import Endpoint
from webhooks.selectors import list_deliveries, list_endpoints, retrieve_delivery

ENDPOINT = Endpoint(id=7, owner_id=7)

operations: dict[str, Callable[[], object]] = {
    "report": lambda: list(task_pages(owner_id=7, limit=1000)),
    "count": lambda: count_tasks(owner_id=7),
    "webhooks": lambda: list_endpoints(owner_id=7),
    "deliveries": lambda: list_deliveries(endpoint=ENDPOINT, page=Page(limit=20, before=None)),
    "delivery": lambda: retrieve_delivery(owner_id=7, endpoint_id=7, delivery_id=7),
    "due deliveries": lambda: list(_next_deliveries(7, now=timezone.now())[:32]),
    "next due": lambda: _next_due(ENDPOINT),
}
