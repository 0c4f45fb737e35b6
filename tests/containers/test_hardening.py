"""The containers' privileges, the images' contents, and the places of secrets."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.compose import IMAGES, PARTS, Project
from support.environment import KID, SECRETS
from support.paths import CHECKOUT, SERVICES


@pytest.mark.parametrize("part", PARTS)
def test_a_part_runs_with_as_little_as_it_needs(project: Project, part: str) -> None:
    for container in project.inspect(*project.containers(part)):
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert not host["Privileged"]
        assert host["Init"]
        assert 0 < host["Memory"] <= 512 << 20
        assert 0 < host["PidsLimit"] <= 200
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
        # More than the worker's time limit for a job and the gateway's for a response.
        assert container["Config"]["StopTimeout"] >= 20
        assert container["State"]["Health"]["Status"] in ("healthy", "starting")
    uid = project.execute(part, "id", "-u").strip()
    assert uid != "0"
    assert "Read-only file system" in project.execute(part, "touch", "/tries-to-write", check=False)


def test_only_the_gateway_can_be_reached_and_only_from_this_machine(project: Project) -> None:
    published = {}
    for container in project.inspect(*project.containers()):
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        ports = {port: bound for port, bound in container["NetworkSettings"]["Ports"].items() if bound}
        if ports:
            published[service] = ports
    assert published == {"gateway": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(project.port)}]}}


def test_redis_has_no_way_out(project: Project) -> None:
    [container] = project.inspect(*project.containers("redis"))
    assert list(container["NetworkSettings"]["Networks"]) == [f"{project.name}_internal"]
    [network] = json.loads(project.run("docker", "network", "inspect", f"{project.name}_internal"))
    assert network["Internal"]


def test_redis_asks_for_its_password_and_keeps_what_it_has(project: Project) -> None:
    anonymous = project.execute("redis", "redis-cli", "keys", "*", check=False)
    assert "NOAUTH" in anonymous
    # The health check's user may run no other command.
    probe = ("redis-cli", "--no-auth-warning", "--user", "probe", "--pass", "none")
    assert project.execute("redis", *probe, "ping") == "PONG\n"
    assert "NOPERM" in project.execute("redis", *probe, "get", "x", check=False)
    assert project.run_program("worker", "containers/redis_settings") == "['noeviction', 'yes']\n"


def test_no_secret_can_be_read_but_in_the_files_of_who_needs_it(project: Project) -> None:
    values = {name: project.env[name].removeprefix(f"{KID}:") for name in SECRETS}
    # All containers, including exited ones.
    shown = project.run("docker", "inspect", *project.compose("ps", "--all", "--quiet").split())
    for image in IMAGES:
        shown += project.run("docker", "history", "--no-trunc", f"{project.name}-{image}")
    assert "JWT_KEYS_FILE" in shown
    assert [name for name, value in values.items() if value in shown] == []

    own = {
        "auth": ["AUTH_SECRET_KEY"],
        "tasks": ["TASKS_SECRET_KEY"],
        "scheduler": ["SCHEDULER_SECRET_KEY", "WEBHOOK_SECRET_KEY"],
    }
    for service, names in own.items():
        files = project.execute(service, "sh", "-c", "cd /run/secrets && ls && cat *")
        expected = sorted([*names, "DATABASE_URL", "JWT_KEYS", "REDIS_URL"])
        assert files.splitlines()[: len(expected)] == expected
        held = {secret for secret, value in values.items() if value in files}
        assert held == {"JWT_KEYS", "REDIS_PASSWORD", *names}
        environ = project.execute(service, "sh", "-c", "cat /proc/*/environ 2>/dev/null; env", check=False)
        assert not any(values[name] in environ for name in names)
        refused = project.execute(service, "sh", "-c", "echo x >/run/secrets/JWT_KEYS", check=False)
        assert "Read-only file system" in refused


def test_a_service_with_a_login_of_its_own_has_no_other(project: Project) -> None:
    name, image = f"{project.name}-logins", f"{project.name}-tasks"
    urls = {f"{service.upper()}_DATABASE_URL": f"mssql://{service}@host/tasks" for service in SERVICES}
    own = {"COMPOSE_PROJECT_NAME": name, "DATABASE_URL": "mssql://owner@host/tasks", **urls}
    # With the umask of Redis's public image.
    files = ("--file", "docker-compose.yaml", "--file", "tests/containers/umask.yaml")
    try:
        # Twice, the second time with a file left by an interrupted run.
        project.compose(*files, "up", "secrets", **own)
        project.run("docker", "run", "--rm", "--user", "root", "--volume", f"{name}_owner-secrets:/secrets", image,
                    "install", "-m", "0444", "/dev/null", "/secrets/DATABASE_URL.new")  # fmt: skip
        project.compose(*files, "up", "secrets", **own)
        for volume in (*SERVICES, "owner"):
            mount = f"{name}_{volume}-secrets:/secrets:ro"
            # Run as the services' user.
            url = project.run("docker", "run", "--rm", "--volume", mount, image, "cat", "/secrets/DATABASE_URL")
            assert url == f"mssql://{volume}@host/tasks"
    finally:
        project.compose("down", "--volumes", **own)


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_are_what_the_databases_owner_is_for(project: Project, service: str) -> None:
    def of(name: str) -> tuple[list[str], str]:
        [container] = project.inspect(*project.compose("ps", "--all", "--quiet", name).split())
        [url] = [line for line in container["Config"]["Env"] if line.startswith("DATABASE_URL_FILE=")]
        return sorted(mount["Destination"] for mount in container["Mounts"]), url.partition("=")[2]

    assert of(service) == (["/data", "/run/secrets"], "/run/secrets/DATABASE_URL")
    assert of(f"{service}-migrate") == (["/data", "/run/owner", "/run/secrets"], "/run/owner/DATABASE_URL")


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_no_compiler_no_installer_and_no_tests(project: Project, service: str) -> None:
    looked = project.execute(
        service,
        "sh",
        "-c",
        "id; for tool in gcc cc g++ make git curl uv; do command -v $tool; done; python -m pip --version; "
        "find /app -name 'test*' -o -name Dockerfile -o -name 'requirements*'; ls -d /root/.cache /var/lib/apt/lists/*",
        check=False,
    )
    # Without the errors about missing files.
    lines = [line for line in looked.splitlines() if "No such file" not in line and "cannot access" not in line]
    assert lines == [
        "uid=10001(service) gid=10001(service) groups=10001(service)",
        "/venv/bin/python: No module named pip",
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_pyodbc_and_microsofts_driver_load(project: Project, service: str) -> None:
    output = project.run_program(service, "containers/connect_pyodbc")
    assert output.startswith("['ODBC Driver 18 for SQL Server']\n")
    # The driver's own error for a port that nothing listens on; unixODBC's would be "Can't open lib".
    assert "[Microsoft][ODBC Driver 18 for SQL Server]" in output
    assert "0x2749" in output or "timeout expired" in output.lower()


@pytest.mark.parametrize("service", SERVICES)
def test_mssql_python_loads(project: Project, service: str) -> None:
    output = project.run_program(service, "containers/connect_mssql_python")
    assert "127.0.0.1" in output or "TCP Provider" in output or "timeout" in output.lower(), output


def test_the_services_are_built_alike() -> None:
    def instructions(service: str) -> list[str]:
        lines = (CHECKOUT / f"services/{service}/Dockerfile").read_text().replace(service, "NAME").splitlines()
        # auth has more threads, since some of them are busy with password hashes.
        own = ("#", "ENV GRANIAN_WORKERS=")
        return [line for line in lines if not line.startswith(own) and "image.description" not in line]

    assert instructions("auth") == instructions("tasks") == instructions("scheduler")
    assert len(instructions("auth")) > 20


def test_the_host_has_a_name(project: Project) -> None:
    [address, *_] = project.execute("tasks", "getent", "hosts", "host.docker.internal").split()
    assert address.count(".") == 3


def test_without_env_the_start_says_what_to_do(project: Project, tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "docker-compose.yaml", tmp_path)
    env = {name: value for name, value in project.env.items() if name not in SECRETS}
    done = subprocess.run(
        ["docker", "compose", "up", "--build"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    [line] = done.stderr.strip().splitlines()
    assert "see .env.example; `make docker-up` writes a missing .env" in line


def test_a_database_file_is_called_what_it_is(project: Project) -> None:
    logged = project.compose("logs", "--no-log-prefix", "secrets").splitlines()
    assert {line for line in logged if not line.startswith("changed at ")} == {
        "warning: the database is one SQLite file on a volume, for development only; set DATABASE_URL in production"
    }
