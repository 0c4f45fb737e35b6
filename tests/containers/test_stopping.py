"""`docker compose stop` with requests in flight."""

import threading
import time
from collections import Counter
from typing import Any

from support.compose import PARTS, Project

from .conftest import Client, creates, load


def test_a_stop_lets_the_requests_in_flight_finish(project: Project, client: Client) -> None:
    responses: list[Any] = []

    def write(n: int) -> None:
        responses.append(client.create(f"in flight {n}"))

    ids = dict.fromkeys(PARTS)
    for part in PARTS:
        ids[part] = project.containers(part)
    with load(creates(client)) as seen:
        time.sleep(1)
        with project.locked_database():
            # The requests wait for the lock in a service when the stop starts.
            writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
            for writer in writers:
                writer.start()
            time.sleep(0.3)
            stop = threading.Thread(target=lambda: project.compose("stop"))
            stop.start()
            # Of a process's writers, all but one wait for at most two seconds.
            time.sleep(1)
        for writer in writers:
            writer.join(timeout=20)
        stop.join(timeout=60)
        assert not stop.is_alive()
    print(f"in flight: {[response.status_code for response in responses]}; load: {seen}")
    assert [response.status_code for response in responses] == [201, 201, 201]
    assert set(seen.statuses) == {201}
    codes = {part: [one["State"]["ExitCode"] for one in project.inspect(*ids[part])] for part in PARTS}
    print(f"exit codes {codes}")
    assert {code for part in codes.values() for code in part} == {0}

    # Every stored task was acknowledged exactly once: no request was cut off. Requests without a response found no
    # listener.
    project.compose("start")
    project.wait_until_ready(timeout=60)
    found = Counter(client.titles())
    assert set(found) == {*seen.acknowledged, *(f"in flight {n}" for n in range(3))}
    assert set(found.values()) == {1}


def test_a_process_that_does_not_listen_holds_a_stop_up_no_longer_than_a_request(project: Project) -> None:
    [container] = project.containers("scheduler")
    project.signal_process("scheduler", "SIGSTOP")
    started = time.monotonic()
    project.compose("stop", "scheduler")
    took = time.monotonic() - started
    state = project.inspect(container)[0]["State"]
    print(f"stopped after {took:.1f} s, exit code {state['ExitCode']}")
    # The server stopped itself after the time limit of a request; the exit code of Docker's SIGKILL would be 137.
    assert state["ExitCode"] == 0
    assert 15 < took < 20

    project.compose("start", "scheduler")
    project.wait_until_ready()
