"""Start two workers as granian does, print their process ids, and wait."""

import multiprocessing
import os
import time

from servicekit.http.wsgi import end_with_parent


def work() -> None:
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(60)


if __name__ == "__main__":
    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
