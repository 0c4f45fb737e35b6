"""The lists of Compose services that the code and the tests hold, against docker-compose.yaml."""

import os

import yaml

from support.commands import output_of, program, run_in_launcher
from support.compose import PARTS
from support.paths import CHECKOUT

SERVICES = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]


def test_every_part_that_reads_secrets_is_restarted_when_they_change() -> None:
    mounted = {name for name, service in SERVICES.items() if ":/run/secrets" in str(service.get("volumes"))}
    # SQL Server reads its password only when it creates its own tables; the others end before the rest starts.
    readers = {name for name in mounted if SERVICES[name]["restart"] != "no"} - {"sqlserver"}

    listed = output_of(run_in_launcher(*program("launcher/secret_readers"), env=os.environ))

    assert set(listed.split()) == readers


def test_the_suites_of_containers_look_at_every_part_that_always_runs() -> None:
    running = {name for name, service in SERVICES.items() if "profiles" not in service}
    running = {name for name in running if SERVICES[name].get("restart", "no") != "no"}

    assert set(PARTS) == running
