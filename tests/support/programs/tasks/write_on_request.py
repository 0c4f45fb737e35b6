"""Write tasks in transactions that stay open, as directed by lines of standard input; print one line for each.

``create NAME`` writes a task and leaves its transaction open; ``commit NAME`` and ``rollback NAME`` end it. ``rename
ID`` renames a task and commits immediately.
"""

import queue
import sys
import threading

import django

django.setup()

from django.db import connection, transaction

from tasks.services import create_task, rename_task


class Transaction(threading.Thread):
    """A transaction on its own connection; ``task_id`` is the task that it has written."""

    def __init__(self) -> None:
        super().__init__()
        self._orders: queue.Queue[str] = queue.Queue()
        self._written: queue.Queue[int] = queue.Queue()
        self.start()
        self.task_id = self._written.get(timeout=30)

    def end(self, order: str) -> None:
        self._orders.put(order)
        self.join()

    def run(self) -> None:
        with transaction.atomic():
            self._written.put(create_task(owner_id=1, title="Task", duration=5).id)
            transaction.set_rollback(self._orders.get() == "rollback")
        connection.close()


transactions: dict[str, Transaction] = {}
for line in sys.stdin:
    order, name = line.split()
    if order == "create":
        transactions[name] = Transaction()
        print(transactions[name].task_id, flush=True)
    elif order == "rename":
        rename_task(task_id=int(name), owner_id=1, title="Renamed")
        print("renamed", flush=True)
    else:
        transactions.pop(name).end(order)
        print(order, flush=True)
