"""deploy/kubernetes, rendered: valid against Kubernetes's schemas and policies, and the same stack as Compose's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.commands import output_of, run, run_launcher
from support.environment import SECRETS, new_secrets, without_project
from support.kubernetes import (
    KUBERNETES,
    OVERLAYS,
    SIDECARS,
    Object,
    Objects,
    compose_services,
    container_of,
    containers_of,
    render,
    render_every_option,
    tool,
)
from support.paths import CHECKOUT, SERVICES, make_checkout

# The current versions; Kubernetes supports three.
VERSIONS = ("1.35", "1.36", "1.37")
# Kinds that are not part of Kubernetes; their schemas are in the cluster.
OF_EXTENSIONS = {"ExternalSecret", "Gateway", "HTTPRoute"}

TEXTS: dict[str, Callable[[], str]] = {
    **{overlay: lambda overlay=overlay: render(overlay) for overlay in OVERLAYS},  # type: ignore[misc]
    "every option": render_every_option,
}
EVERYTHING = Objects.of(render_every_option())
MIGRATIONS = Objects.of(render("local/migrations"))
LOCAL = Objects.of(render("local"))
PODS = {**LOCAL.pods(), "admin": EVERYTHING.pods()["admin"]}
COMPOSE = compose_services()
PARTS = sorted({*PODS, *SIDECARS})
DJANGO = sorted(PODS.keys() - {"gateway", "redis"})
WITH_MIGRATIONS = sorted({*PARTS, *MIGRATIONS.pods()})
# A migration is a Job in its own folder in Kubernetes, "secrets" corresponds to the Secrets, SQL Server is run outside,
# and a cluster has its own Prometheus.
ELSEWHERE = {"secrets", "sqlserver", "prometheus", "grafana"}
# Volumes shared by the containers of one pod, with the name of the volume that Compose's containers share.
SHARED = {"metrics": "gateway-metrics"}


def pod_of(part: str) -> Object:
    pod: Object = {**PODS, **MIGRATIONS.pods()}[SIDECARS.get(part, part)]
    return pod


def container(part: str) -> Object:
    if part in SIDECARS:
        return next(each for each in containers_of(pod_of(part)) if each["name"] == part)
    return container_of(pod_of(part))


def objects_of(part: str) -> Objects:
    if part == "admin":
        return EVERYTHING
    return MIGRATIONS if part in MIGRATIONS.pods() else LOCAL


@pytest.fixture(params=TEXTS)
def rendered(request: pytest.FixtureRequest) -> str:
    return TEXTS[request.param]()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_its_schema(rendered: str, version: str, tmp_path: Path) -> None:
    schemas = next((tool("") / "../lib").glob("python3*/site-packages/kubernetes_validate/kubernetes-json-schema"))
    # For an unknown version, kubernetes-validate would use its newest schemas.
    assert list(schemas.glob(f"v{version}.*-local-strict"))
    objects = [each for each in yaml.safe_load_all(rendered) if each["kind"] not in OF_EXTENSIONS]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")

    done = run(tool("kubernetes-validate"), "-k", version, "--strict", str(file), env={})

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed ") == len(objects) > 0


def test_the_policy_scan_fails_for_the_listed_exceptions_alone(tmp_path: Path) -> None:
    config = yaml.safe_load((KUBERNETES / "checkov.yaml").read_text(encoding="utf-8"))
    files = [tmp_path / f"{number}.yaml" for number in range(len(TEXTS))]
    for file, text in zip(files, TEXTS.values(), strict=True):
        file.write_text(text(), encoding="utf-8")
    options = ("--framework", "kubernetes", "--output", "json", "--skip-download", "--compact")

    done = run(tool("checkov"), *options, *(part for file in files for part in ("--file", str(file))), env={})

    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 1000
    failed: dict[str, str] = {}
    for each in report["results"]["failed_checks"]:
        failed[each["check_id"]] = f"{each['check_name']}: {each['resource']}"
    assert failed.keys() == set(config["skip-check"]), failed


def test_every_pod_meets_the_restricted_standard(rendered: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    for pod in Objects.of(rendered).pods().values():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for each in containers_of(pod):
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def test_the_namespace_enforces_it() -> None:
    namespace = yaml.safe_load((KUBERNETES / "namespace.yaml").read_text(encoding="utf-8"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for overlay in OVERLAYS:
        for each in Objects.of(render(overlay)).all:
            assert each["metadata"]["namespace"] == namespace["metadata"]["name"]


# The same stack as Compose's:


def test_the_parts_are_composes() -> None:
    assert set(WITH_MIGRATIONS) == COMPOSE.keys() - ELSEWHERE


@pytest.mark.parametrize("part", WITH_MIGRATIONS)
def test_image(part: str) -> None:
    compose = COMPOSE[part].get("image", f"task-api-{part}")
    image = container(part)["image"]
    if part == "redis":
        assert image == compose
    else:
        # The local overlay's image, or, with every option, the production overlay's.
        assert image in (f"{compose}:local", f"registry.example.org/task-api/{compose.removeprefix('task-api-')}:0.1.0")


@pytest.mark.parametrize("part", WITH_MIGRATIONS)
def test_command(part: str) -> None:
    own = container(part)
    assert own.get("command") == COMPOSE[part].get("command")
    assert own.get("workingDir") == COMPOSE[part].get("working_dir")
    assert "args" not in own


@pytest.mark.parametrize("part", WITH_MIGRATIONS)
def test_variables(part: str) -> None:
    variables = objects_of(part).environment(container(part))
    for name in ("NGINX_ENTRYPOINT_LOCAL_RESOLVERS", "CLUSTER_DOMAIN"):
        variables.pop(name, None)
    if part == "admin":
        # The production overlay's own.
        variables.pop("PUBLIC_URL", None)
    assert variables == COMPOSE[part].get("environment", {})


@pytest.mark.parametrize("part", PARTS)
def test_port(part: str) -> None:
    ports = {each["containerPort"] for each in container(part).get("ports", [])}
    # Ports that Compose publishes, and ports by which the gateway and the services reach each other.
    published = {int(str(port).rpartition(":")[2]) for port in COMPOSE[part].get("ports", [])}
    called = {"auth": {8000}, "tasks": {8000}, "scheduler": {8000}, "redis": {6379}}.get(part, set())
    assert ports == published | called | ({8002} if part in {*DJANGO, "metrics"} else set())


@pytest.mark.parametrize("part", WITH_MIGRATIONS)
def test_limits(part: str) -> None:
    own, compose = container(part), COMPOSE[part]
    assert own["resources"]["limits"] == {"memory": compose["mem_limit"].replace("m", "Mi")}
    assert own["resources"]["requests"].keys() == {"cpu", "memory"}
    grace = pod_of(part)["spec"]["terminationGracePeriodSeconds"]
    hook = own.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert grace - hook >= int(compose["stop_grace_period"].removesuffix("s")) or part == "admin"


@pytest.mark.parametrize("part", sorted(PODS))
def test_readiness_is_composes_health_check(part: str) -> None:
    compose = COMPOSE[part]["healthcheck"]
    probe = container(part)["readinessProbe"]
    if "httpGet" in probe:
        assert probe["httpGet"]["port"] == "http"
        assert probe["httpGet"]["path"] in " ".join(compose["test"])
        # "in" would also accept the beginning of another path.
        assert probe["httpGet"]["path"] in ("/healthz", "/readyz", "/admin/login/")
    else:
        first, *command = compose["test"]
        assert probe["exec"]["command"] == (["sh", "-c", *command] if first == "CMD-SHELL" else command)
    assert f"{probe['periodSeconds']}s" == compose["interval"]
    assert f"{probe['timeoutSeconds']}s" == compose["timeout"]
    assert probe["failureThreshold"] == compose["retries"]


def test_a_sidecar_is_ready_while_it_runs() -> None:
    for part in SIDECARS:
        assert "readinessProbe" not in container(part)
        assert container(part)["livenessProbe"]["httpGet"]["path"] in " ".join(COMPOSE[part]["healthcheck"]["test"])


@pytest.mark.parametrize("part", sorted(PODS))
def test_an_outage_of_another_part_restarts_nothing_within_ten_minutes(part: str) -> None:
    probe = container(part)["livenessProbe"]
    if "exec" in probe and part != "redis":
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 600
    elif "httpGet" in probe:
        assert probe["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("part", WITH_MIGRATIONS)
def test_volumes(part: str) -> None:
    spec = pod_of(part)["spec"]
    sources = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {}
    for mount in container(part)["volumeMounts"]:
        source = sources.get(mount["name"], {})
        claim = source.get("persistentVolumeClaim", {}).get("claimName") or SHARED.get(mount["name"])
        # A StatefulSet's own claim is not among its pod's volumes.
        name = source.get("secret", {}).get("secretName") or claim or (None if source else mount["name"])
        mounts[mount["mountPath"]] = name

    volumes = [str(volume).removesuffix(":ro").split(":") for volume in COMPOSE[part].get("volumes", [])]
    compose = {path: name for name, path in volumes}
    assert {path: name for path, name in mounts.items() if path in compose} == compose
    writable = {str(path).partition(":")[0] for path in COMPOSE[part].get("tmpfs", [])}
    own = {path for path in mounts if path.startswith("/etc/nginx/")} if part == "gateway" else set()
    assert mounts.keys() - compose.keys() == writable | own


def test_networks_are_composes() -> None:
    prefix = "task-api/network-"
    # A network belongs to a whole pod.
    for part in set(WITH_MIGRATIONS) - SIDECARS.keys():
        labels = pod_of(part)["metadata"]["labels"]
        networks = {name.removeprefix(prefix) for name in labels if name.startswith(prefix)}
        # Compose publishes the port of the admin on the machine itself; kubectl forwards it, bypassing policies.
        assert networks == set(COMPOSE[part]["networks"]) - ({"edge"} if part == "admin" else set())
    for sidecar, part in SIDECARS.items():
        assert set(COMPOSE[sidecar]["networks"]) <= set(COMPOSE[part]["networks"])


def test_policies_are_composes_networks() -> None:
    policies = {name: each["spec"] for name, each in LOCAL.kind("NetworkPolicy").items()}
    assert policies.keys() == {"default-deny", "dns", "internal", "database", "edge", "metrics"}

    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    internal = {"matchLabels": {"task-api/network-internal": "true"}}
    assert policies["internal"]["podSelector"] == internal
    # Only among themselves.
    assert [rule["from"] for rule in policies["internal"]["ingress"]] == [[{"podSelector": internal}]]
    assert [rule["to"] for rule in policies["internal"]["egress"]] == [[{"podSelector": internal}]]
    ports = {port["port"] for port in policies["internal"]["ingress"][0]["ports"]}
    assert ports == {8000, 6379} == {port["port"] for port in policies["internal"]["egress"][0]["ports"]}
    # "database" allows only outgoing, "edge" and "metrics" only incoming connections.
    assert policies["database"]["policyTypes"] == ["Egress"]
    assert policies["edge"]["policyTypes"] == ["Ingress"]
    assert policies["edge"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    assert policies["metrics"]["policyTypes"] == ["Ingress"]
    [scrape] = policies["metrics"]["ingress"]
    assert scrape["ports"] == [{"protocol": "TCP", "port": 8002}]


# References:


def test_every_reference_has_its_object(rendered: str) -> None:
    objects = Objects.of(rendered)
    pods, maps = objects.pods(), objects.kind("ConfigMap")
    for name, pod in pods.items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        claims = objects.kind("StatefulSet").get(name, {}).get("spec", {}).get("volumeClaimTemplates", [])
        volumes |= {claim["metadata"]["name"] for claim in claims}
        containers = containers_of(pod)
        assert {mount["name"] for each in containers for mount in each["volumeMounts"]} == volumes
        for source in (source for each in containers for source in each.get("envFrom", [])):
            assert source["configMapRef"]["name"] in maps
    for each in objects.kind("Service").values():
        [pod] = [pod for pod in pods.values() if each["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
        names = {port["name"] for port in container_of(pod)["ports"]}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= names
    for each in objects.kind("HorizontalPodAutoscaler").values():
        deployment = objects.kind("Deployment")[each["spec"]["scaleTargetRef"]["name"]]
        # Each `kubectl apply` would reset the number of replicas.
        assert "replicas" not in deployment["spec"]
    for each in objects.kind("PodDisruptionBudget").values():
        selected = each["spec"]["selector"]["matchLabels"].items()
        assert any(selected <= pod["metadata"]["labels"].items() for pod in pods.values())
    services = objects.kind("Service")
    for route in objects.kind("HTTPRoute").values():
        assert {parent["name"] for parent in route["spec"]["parentRefs"]} <= objects.kind("Gateway").keys()
        for backend in (each for rule in route["spec"]["rules"] for each in rule.get("backendRefs", [])):
            assert backend["port"] in {port["port"] for port in services[backend["name"]]["spec"]["ports"]}
    for ingress in objects.kind("Ingress").values():
        [path] = ingress["spec"]["rules"][0]["http"]["paths"]
        backend = path["backend"]["service"]
        assert backend["port"]["name"] in {port["name"] for port in services[backend["name"]]["spec"]["ports"]}


def test_every_configmap_is_used(rendered: str) -> None:
    objects = Objects.of(rendered)
    used = str(objects.kind("Deployment", "StatefulSet", "Job"))
    assert [name for name in objects.kind("ConfigMap") if f"'name': '{name}'" not in used] == []


def test_the_jobs_of_a_release_are_called_by_it() -> None:
    for name, pod in Objects.of(render("production/migrations")).pods().items():
        tag = container_of(pod)["image"].rpartition(":")[2]
        assert name.endswith(f"-migrate-{tag.replace('.', '-')}")


def test_beat_is_one() -> None:
    for objects in (LOCAL, EVERYTHING):
        beat = objects.kind("Deployment")["beat"]
        assert beat["spec"]["replicas"] == 1
        assert beat["spec"]["strategy"] == {"type": "Recreate"}
    assert "beat" not in EVERYTHING.kind("HorizontalPodAutoscaler")


def test_no_part_but_beat_and_the_optional_ones_is_alone_in_production() -> None:
    production = Objects.of(render("production"))
    alone = {
        name
        for name, each in production.kind("Deployment").items()
        if name not in production.kind("HorizontalPodAutoscaler") and each["spec"].get("replicas", 1) == 1
    }
    assert alone == {"beat"}


# Secrets:


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The Secrets that `make kubernetes-secrets` prints for a fresh checkout with a login for auth."""
    checkout = make_checkout(tmp_path_factory.mktemp("secrets") / "checkout")
    logins = {"DATABASE_URL": "mssql://owner@host/tasks", "AUTH_DATABASE_URL": "mssql://auth@host/tasks"}
    env = without_project() | new_secrets("s" * 43) | logins
    done = run_launcher("kubernetes-secrets", env=env, checkout=checkout)
    items = json.loads(output_of(done))["items"]
    assert {item["metadata"]["namespace"] for item in items} == {"task-api"}
    return {item["metadata"]["name"]: item["stringData"] for item in items}


def test_the_printed_secrets_are_composes(printed: dict[str, dict[str, str]]) -> None:
    document: Any = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8"))
    written: dict[str, set[str]] = {}
    for config in document["services"]["secrets"]["configs"]:
        _, _, volume, file = config["target"].split("/")
        written.setdefault(f"{volume}-secrets", set()).add(file)
    written.pop("sqlserver-secrets")
    assert {name: set(files) for name, files in printed.items()} == written
    # Redis's file, except for its password.
    conf = document["configs"]["redis-conf"]["content"]
    assert printed["redis-secrets"]["redis.conf"].splitlines()[1:] == conf.splitlines()[1:]


def test_each_printed_secret_has_its_value(printed: dict[str, dict[str, str]]) -> None:
    assert printed["auth-secrets"]["DATABASE_URL"] == "mssql://auth@host/tasks"
    assert printed["tasks-secrets"]["DATABASE_URL"] == printed["owner-secrets"]["DATABASE_URL"]
    assert printed["tasks-secrets"]["DATABASE_URL"] == "mssql://owner@host/tasks"
    password = printed["redis-secrets"]["redis.conf"].split('"')[1]
    for service in SERVICES:
        files = printed[f"{service}-secrets"]
        assert files["REDIS_URL"] == f"redis://:{password}@redis:6379/0"
        assert files["JWT_KEYS"] == "e2e:" + "s" * 43
        others = {name for other in SERVICES if other != service for name in printed[f"{other}-secrets"]}
        assert (others - files.keys()) & set(SECRETS)


@pytest.mark.parametrize("part", sorted({*DJANGO, *MIGRATIONS.pods()}))
def test_every_file_that_a_part_reads_is_in_a_secret_that_it_mounts(
    part: str, printed: dict[str, dict[str, str]]
) -> None:
    pod = pod_of(part)
    names = {volume["name"]: volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    found = set()
    for mount in container_of(pod)["volumeMounts"]:
        if mount["name"] in names:
            assert mount["readOnly"]
            found |= {f"{mount['mountPath']}/{key}" for key in printed[names[mount["name"]]]}
    read = {value for name, value in objects_of(part).environment(container(part)).items() if name.endswith("_FILE")}
    assert read
    assert read <= found


def test_external_secrets_are_those_of_production() -> None:
    mounted = set()
    for overlay in ("production", "production/migrations"):
        for pod in Objects.of(render(overlay)).pods().values():
            mounted |= {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    assert EVERYTHING.kind("ExternalSecret").keys() == mounted
