"""Relay new events once per line of standard input; print the deliveries created, as [task, type], and the gaps."""

import json
import sys

import django

django.setup()

from webhooks.models import Delivery, Gap
from webhooks.reader import relay_events
from webhooks.services import create_endpoint

create_endpoint(owner_id=1, url="https://receiver.example/", events=["task.created", "task.renamed", "task.deleted"])
relay_events()
relay_events()
last = 0
for _ in sys.stdin:
    relay_events()
    rows = list(Delivery.objects.filter(id__gt=last).order_by("id").values_list("id", "task_id", "type"))
    last = max([last, *(row[0] for row in rows)])
    print(json.dumps({"delivered": [row[1:] for row in rows], "gaps": Gap.objects.count()}), flush=True)
