"""Runs of background jobs that a test requests."""

import requests

from support.stack import Stack
from support.waiting import wait_until


def request_run(
    stack: Stack, job: str, *, token: str, refused_by: tuple[int, ...] = (409,), timeout: float = 20
) -> requests.Response:
    """Request a run of the job until it is accepted; return the 202 response.

    The job's own tick may coincide; while its run is active, the response is a 409.
    """

    def requested() -> requests.Response | None:
        response = stack.call("POST", f"/api/jobs/{job}/runs", token=token)
        assert response.status_code in (202, *refused_by), response.text
        return response if response.status_code == 202 else None

    return wait_until(requested, timeout=timeout, interval=0.2, what=f"a run of {job} is requested")
