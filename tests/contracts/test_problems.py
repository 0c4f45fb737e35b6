"""The gateway responds in place of a service that it cannot reach, so it must use the same problem types."""

import json
import re

from support.commands import output_of, program, run_in_service
from support.paths import CHECKOUT

# The gateway's details of these differ from a service's: no service at the path, or the readiness probe.
OTHER_DETAILS = {403, 404, 405, 500, 503}
# A second kind of 429, which no service sends.
TOO_MANY_AT_ONCE = "Too many simultaneous requests; the Retry-After header says when to try again."


def test_gateway_and_services_name_their_problems_alike(environment: dict[str, str]) -> None:
    output = output_of(run_in_service("tasks", *program("tasks/list_problems"), env=environment))
    services = {int(status): tuple(names) for status, names in json.loads(output).items()}
    template = (CHECKOUT / "nginx/gateway.conf.template").read_text(encoding="utf-8")
    gateway = re.findall(r'"type":"([^"]+)","title":"([^"]+)","status":(\d+),"detail":"([^"]+)"', template)
    assert len(gateway) == 18
    for kind, title, status, detail in gateway:
        assert (kind, title) == services[int(status)][:2]
        other = int(status) in OTHER_DETAILS or detail == TOO_MANY_AT_ONCE
        assert (detail == services[int(status)][2]) == (not other), status
    # The gateway's redirects to the page of problems cover the same types.
    (slugs,) = re.findall(r"location ~ \^/problems/\(\?<problem_slug>([a-z|-]+)\)", template)
    assert [f"/problems/{slug}" for slug in slugs.split("|")] == [kind for kind, _, _ in services.values()]
