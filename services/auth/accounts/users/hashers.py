"""Hash passwords, one at a time in each process, and bound how many requests wait for that."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.contrib.auth import hashers

from servicekit.http.exceptions import ServiceUnavailable
from servicekit.metrics import Gauge

P = ParamSpec("P")
R = TypeVar("R")

# A hash is meant to take a core and 19 MiB; one at a time, WEB_WORKERS bounds what a flood of logins takes. A thread of
# its own does it, since glibc keeps those 19 MiB for every thread that ever asked for them; returning them to the
# system each time (M_MMAP_THRESHOLD) makes a hash take half as long again.
_hashing_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hashing")
# The requests that may hash or wait for it; they occupy a thread of the server each.
_slots = threading.BoundedSemaphore(settings.PASSWORD_THREADS)

PENDING = Gauge(
    "auth_password_hashes_pending",
    "Requests that hash a password or wait for their turn to.",
    multiprocess_mode="livesum",
)


class Argon2idHasher(hashers.Argon2PasswordHasher):
    """Argon2id with the parameters of OWASP's password storage cheat sheet: 19 MiB, two passes, one lane.

    Django's own parameters (100 MiB, eight lanes) take six times as long and eight threads for each login. A hash with
    other parameters is accepted and replaced at its user's next login.
    https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1


def one_at_a_time(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the function in the thread that hashes passwords, and return its result. It must not use the database."""
    return _hashing_thread.submit(function, *args, **kwargs).result()


@contextmanager
def password_slot() -> Iterator[None]:
    """Surround whatever hashes a password for a request; raises ServiceUnavailable when enough of them wait already.

    Enter it before any other work, so that refusing costs nothing: the server's remaining threads serve other calls.
    """
    if not _slots.acquire(blocking=False):
        raise ServiceUnavailable
    try:
        with PENDING.track_inprogress():
            yield
    finally:
        _slots.release()
