"""Runs of background jobs that a test requests."""

import requests

from support.stack import Stack
from support.waiting import wait_until


def request_run(stack: Stack, job: str, *, token: str, timeout: float = 20) -> requests.Response:
    """Request a run of the job, and return the response, a 202.

    The job's own tick may come at the same moment: while that run is active, the response is a 409.
    """
    responses: list[requests.Response] = []

    def requested() -> requests.Response | None:
        responses.append(stack.call("POST", f"/api/jobs/{job}/runs", token=token))
        return responses[-1] if responses[-1].status_code == 202 else None

    return wait_until(requested, timeout=timeout, what=lambda: f"a run of {job} is requested: {responses[-1].text}")
