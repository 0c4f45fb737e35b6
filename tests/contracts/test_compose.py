"""The lists of Compose services in the code and the tests, compared with docker-compose.yaml."""

import os
from typing import Any

import yaml

from support.commands import output_of, program, run_in_launcher
from support.compose import PARTS
from support.paths import CHECKOUT
from support.swarm import REPLICAS


class ComposeLoader(yaml.SafeLoader):
    """A loader that accepts Compose's own tags, which replace or drop a list when files are merged."""


ComposeLoader.add_constructor("!reset", lambda loader, node: loader.construct_sequence(node, deep=True))
ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node, deep=True))


def services_of(file: str) -> dict[str, Any]:
    services: dict[str, Any] = yaml.load((CHECKOUT / file).read_text(encoding="utf-8"), ComposeLoader)["services"]  # noqa: S506
    return services


SERVICES = services_of("docker-compose.yaml")


def test_every_part_that_reads_secrets_is_restarted_when_they_change() -> None:
    mounted = {name for name, service in SERVICES.items() if ":/run/secrets" in str(service.get("volumes"))}
    # SQL Server reads its password only when it creates its own tables; one-shots exit before the rest starts.
    readers = {name for name in mounted if SERVICES[name]["restart"] != "no"} - {"sqlserver"}

    listed = output_of(run_in_launcher(*program("launcher/secret_readers"), env=os.environ))

    assert set(listed.split()) == readers


def test_the_suites_of_containers_look_at_every_part_that_always_runs() -> None:
    running = {name for name, service in SERVICES.items() if "profiles" not in service}
    running = {name for name in running if SERVICES[name].get("restart", "no") != "no"}

    assert set(PARTS) == running


def test_every_part_of_ours_runs_from_the_checkout_for_developers() -> None:
    assert set(services_of("docker-compose.dev.yaml")) == set(PARTS) - {"gateway", "redis"}


def test_a_swarm_runs_every_part_and_the_migrations() -> None:
    once = {name for name in SERVICES if name.endswith("-migrate")}

    swarm = services_of("deploy/swarm/stack.yaml")

    assert set(swarm) == set(PARTS) | once
    assert all(name.endswith("-migrate") == ("job" in part["deploy"].get("mode", "")) for name, part in swarm.items())
    assert {name: part["deploy"].get("replicas", "each") for name, part in swarm.items() if name in PARTS} == {
        name: "each" if name in ("gateway", "metrics") else count for name, count in REPLICAS.items()
    }
