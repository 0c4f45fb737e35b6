"""How passwords are hashed, and how many at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth import hashers

from servicekit.http.exceptions import ServiceUnavailable

# A hash is made to take a core and 19 MiB. With one at once in each process, WEB_WORKERS bounds what a flood of logins
# takes from the machine. Those that wait hold a thread each, of this service alone.
_one_at_once = threading.Lock()
LONGEST_WAIT_SECONDS = 1.0


class Argon2idHasher(hashers.Argon2PasswordHasher):
    """Argon2id as OWASP's password storage cheat sheet has it: 19 MiB, two passes, one lane.

    Django's own parameters (100 MiB, eight lanes) take six times as long, and eight threads for each login. A hash of
    other parameters is accepted, and made anew at its user's next login.
    https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1


@contextmanager
def hashing() -> Iterator[None]:
    """Around what the API hashes; raises ServiceUnavailable where this process is too busy with others' passwords.

    Not inside a transaction: others would wait for its locks as well.
    """
    if not _one_at_once.acquire(timeout=LONGEST_WAIT_SECONDS):
        raise ServiceUnavailable
    try:
        yield
    finally:
        _one_at_once.release()
