"""make swarm-up, without a Swarm: which Compose files it merges."""

import pytest

from support.commands import output_of, run
from support.environment import without_project


@pytest.mark.parametrize(("variables", "files"), [([], ""), (["OVERLAYS=one.yaml two.yaml"], " one.yaml two.yaml")])
def test_merges_the_files_that_overlays_names_and_no_others(variables: list[str], files: str) -> None:
    printed = output_of(run("make", "--dry-run", "swarm-up", *variables, env=without_project()))
    assert printed.splitlines()[-1].rstrip().endswith(f" -m local swarm-up{files}")
