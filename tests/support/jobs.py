"""Runs of background jobs that a test requests."""

import requests

from support.stack import Stack
from support.waiting import wait_until


def request_run(
    stack: Stack, job: str, *, token: str, refused_by: tuple[int, ...] = (409,), timeout: float = 20
) -> requests.Response:
    """Request a run of the job, again while it is refused, and return the response, a 202.

    The job's own tick may come at the same moment: while that run is active, the response is a 409.
    """

    def requested() -> requests.Response | None:
        response = stack.call("POST", f"/api/jobs/{job}/runs", token=token)
        assert response.status_code in (202, *refused_by), response.text
        return response if response.status_code == 202 else None

    return wait_until(requested, timeout=timeout, interval=0.2, what=f"a run of {job} is requested")
