"""Password hashing, one hash at a time in each process, with a limit on the requests that wait for it."""

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

# A hash occupies a core and 19 MiB by design; with one at a time per process, WEB_WORKERS bounds the cost of a flood of
# logins. Hashing has its own thread, since glibc keeps those 19 MiB for every thread that ever allocated them;
# returning them to the system each time (M_MMAP_THRESHOLD) makes a hash take half as long again.
_hashing_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hashing")
# The requests that may hash or wait to; each occupies one of the server's threads.
_slots = threading.BoundedSemaphore(settings.PASSWORD_THREADS)

PENDING = Gauge(
    "auth_password_hashes_pending",
    "Requests that are hashing a password or waiting to.",
    multiprocess_mode="livesum",
)


class Argon2idHasher(hashers.Argon2PasswordHasher):
    """Argon2id with the parameters of OWASP's password storage cheat sheet: 19 MiB, two passes, one lane.

    Django's own parameters (100 MiB, eight lanes) take six times as long, and eight threads per login. A hash with
    other parameters is accepted, and replaced at the user's next login.
    https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1


def one_at_a_time(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the function in the hashing thread and return its result. The function must not use the database."""
    return _hashing_thread.submit(function, *args, **kwargs).result()


@contextmanager
def password_slot() -> Iterator[None]:
    """Hold a slot for a request that hashes a password; raises ServiceUnavailable if all slots are taken.

    Enter it before any other work, so that a refusal costs nothing and the remaining threads serve other requests.
    """
    if not _slots.acquire(blocking=False):
        raise ServiceUnavailable
    try:
        with PENDING.track_inprogress():
            yield
    finally:
        _slots.release()
