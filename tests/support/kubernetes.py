"""The objects of deploy/kubernetes as kubectl renders them, and docker-compose.yaml without a .env."""

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.commands import output_of, run
from support.paths import CHECKOUT, ENVIRONMENTS

Object = dict[str, Any]

KUBERNETES = CHECKOUT / "deploy/kubernetes"
# The overlays that are applied, and all optional components.
OVERLAYS = ("local", "local/migrations", "production", "production/migrations")
OPTIONS = ("admin", "redis", "sqlite", "ingress", "gateway-api", "availability")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# Parts that run as a second container in another part's pod.
SIDECARS = {"metrics": "gateway"}


def tool(name: str) -> Path:
    """Return the path of a program in the environment of deploy/."""
    return ENVIRONMENTS / "deploy/bin" / name


@cache
def render(overlay: str) -> str:
    """Return what `kubectl apply -k` would send."""
    return output_of(run(tool("kubectl"), "kustomize", KUBERNETES / "overlays" / overlay, env={}))


@cache
def render_every_option() -> str:
    """Return the base rendered with every component and the External Secrets."""
    place = CHECKOUT / "var/kubernetes"
    place.mkdir(parents=True, exist_ok=True)
    up = "../../../deploy/kubernetes"
    components = [f"{up}/components/{name}" for name in OPTIONS]
    kustomization = {
        "kind": "Kustomization",
        "resources": [f"{up}/base", f"{up}/external-secrets"],
        "components": [*components, f"{up}/overlays/production/release", f"{up}/components/restricted"],
    }
    # Each process of the suite has its own folder, so that none reads a file that another is writing.
    with tempfile.TemporaryDirectory(dir=place) as folder:
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        return output_of(run(tool("kubectl"), "kustomize", folder, env={}))


@dataclass(frozen=True)
class Objects:
    """The objects of one rendered text."""

    all: tuple[Object, ...]

    @classmethod
    def of(cls, text: str) -> "Objects":
        return cls(tuple(yaml.safe_load_all(text)))

    def kind(self, *kinds: str) -> dict[str, Object]:
        """Return the objects of these kinds by name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] in kinds}

    def pods(self) -> dict[str, Object]:
        """Return the template of each workload's pods by the workload's name."""
        return {name: each["spec"]["template"] for name, each in self.kind(*WORKLOADS).items()}

    def environment(self, container: Object) -> dict[str, str]:
        """Return the container's variables, except those taken from the pod itself."""
        maps = self.kind("ConfigMap")
        merged: dict[str, str] = {}
        for source in container.get("envFrom", []):
            merged |= maps[source["configMapRef"]["name"]]["data"]
        return merged | {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


def container_of(pod: Object) -> Object:
    """Return the pod's only container that is not a sidecar."""
    container: Object
    [container] = pod["spec"]["containers"]
    return container


def containers_of(pod: Object) -> list[Object]:
    """Return the pod's containers; every init container must be a sidecar, which keeps running."""
    sidecars: list[Object] = pod["spec"].get("initContainers", [])
    assert all(each["restartPolicy"] == "Always" for each in sidecars)
    return [container_of(pod), *sidecars]


@cache
def compose_services() -> dict[str, Object]:
    """Return Compose's services, with each variable replaced by its default."""
    text = (CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8")
    services: dict[str, Object] = _resolved(yaml.safe_load(text))["services"]
    return services


def _resolved(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each) for each in value]
    if not isinstance(value, str):
        return value
    value = value.replace("${COMPOSE_PROJECT_NAME}", "task-api")
    return re.sub(r"\$\{[A-Z_]+:-([^${}]*)\}", r"\1", value).replace("$$", "$")
