"""Create a task with the maximum of every value."""

import django

django.setup()

from tasks.services import create_task

create_task(owner_id=2**63 - 1, title="x" * 200, duration=525_600)
