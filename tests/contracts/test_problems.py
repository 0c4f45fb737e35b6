"""The gateway answers for a service that it cannot reach: it must say the same things in the same words."""

import json
import re

from .conftest import CHECKOUT, run

LIST_PROBLEMS = """
import json, django
django.setup()
from servicekit.problems import PROBLEMS
print(json.dumps({problem.status: [problem.type, problem.title] for problem in PROBLEMS.values()}))
"""


def test_gateway_and_services_name_their_problems_alike(environment: dict[str, str]) -> None:
    output = run("tasks", "-c", LIST_PROBLEMS, environment=environment)
    services = {int(status): tuple(names) for status, names in json.loads(output).items()}
    template = (CHECKOUT / "nginx/gateway.conf.template").read_text(encoding="utf-8")
    gateway = {
        int(status): (kind, title)
        for kind, title, status in re.findall(r'"type":"([^"]+)","title":"([^"]+)","status":(\d+)', template)
    }
    assert set(gateway) >= {400, 403, 404, 405, 413, 429, 502, 503, 504}
    assert gateway.items() <= services.items()
    # And each type leads to its place on the page, of which the gateway knows the list too.
    (slugs,) = re.findall(r"location ~ \^/problems/\(\?<problem_slug>([a-z|-]+)\)", template)
    assert [f"/problems/{slug}" for slug in slugs.split("|")] == [kind for kind, _ in services.values()]
