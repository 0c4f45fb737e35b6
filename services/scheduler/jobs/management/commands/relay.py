"""``manage.py relay``: run the relay."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from jobs.relay import Relay, make_steps
from servicekit import telemetry
from servicekit.database.sqlite import base as sqlite
from servicekit.metrics import exposition


class Command(BaseCommand):
    """Run the relay until SIGTERM or Ctrl-C, after which it finishes the current round and exits."""

    help = "Start queued runs, continue those that lost their worker, and do the other steps of RELAY_STEPS."
    # The steps' own statements check the tables; a check at startup would require that they already exist.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        sqlite.DatabaseWrapper.may_create = False
        relay = Relay(make_steps())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        exposition.serve_own()
        telemetry.start("relay")
        relay.run()
