"""The gateway with the ConfigMaps that Kubernetes mounts: the real nginx, and a DNS server with a cluster's names."""

import re
import socketserver
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.kubernetes import Object, Objects, container_of, render
from support.paths import CHECKOUT, ENVIRONMENTS
from support.ports import free_port
from support.processes import short_folder
from support.waiting import wait_until

PORT = 8000

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no loopback address but 127.0.0.1")


class Pod(ThreadingHTTPServer):
    """A service's pod on its own address, which is the body of each response."""

    allow_reuse_address = True

    def __init__(self, address: str) -> None:
        super().__init__((address, PORT), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(self.server.server_address[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class ClusterDns(socketserver.ThreadingUDPServer):
    """A DNS server that, like CoreDNS, returns the addresses of headless Services, and NXDOMAIN for other names."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.queried: set[str] = set()
        super().__init__(("127.0.0.1", 0), DnsHandler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class DnsHandler(socketserver.BaseRequestHandler):
    server: ClusterDns

    def handle(self) -> None:
        query, socket = self.request
        labels, end = [], 12
        while length := query[end]:
            labels.append(query[end + 1 : end + 1 + length].decode())
            end += 1 + length
        name = ".".join(labels)
        self.server.queried.add(name)
        known = self.server.addresses.get(name)
        # An authoritative response to one question; the name is a pointer to the question's.
        answers = b"".join(
            struct.pack("!HHHIH", 0xC00C, 1, 1, 5, 4) + bytes(map(int, each.split("."))) for each in known or []
        )
        head = query[:2] + struct.pack("!HHHHH", 0x8400 | (0 if known else 3), 1, len(known or []), 0, 0)
        with suppress(OSError):
            socket.sendto(head + query[12 : end + 5] + answers, self.client_address)


def image_environment() -> dict[str, str]:
    """Return the variables that the image's ENV sets."""
    text = (CHECKOUT / "nginx/Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    [line] = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    return dict(re.findall(r"([A-Z_]+)=(\S*)", line))


def mounted_files(objects: Objects, pod: Object) -> Iterator[tuple[Path, str]]:
    """Yield the path and text of each file that the pod mounts from a ConfigMap."""
    volumes = {volume["name"]: volume["configMap"] for volume in pod["spec"]["volumes"] if "configMap" in volume}
    for mount in container_of(pod)["volumeMounts"]:
        if mount["name"] in volumes:
            source = volumes[mount["name"]]
            data = objects.kind("ConfigMap")[source["name"]]["data"]
            paths = {item["path"]: data[item["key"]] for item in source.get("items", [])} or data
            if "subPath" in mount:
                yield Path(mount["mountPath"]), paths[mount["subPath"]]
            else:
                yield from ((Path(mount["mountPath"], name), text) for name, text in paths.items())


def write_configuration(folder: Path, *, dns_port: int, port: int) -> Path:
    """Write the pod's files, rendering templates as the image's entrypoint does; return the path of nginx.conf."""
    objects = Objects.of(render("local"))
    pod = objects.pods()["gateway"]
    environment = image_environment() | objects.environment(container_of(pod))
    assert environment.pop("NGINX_ENTRYPOINT_LOCAL_RESOLVERS")
    environment |= {"NGINX_LOCAL_RESOLVERS": f"127.0.0.1:{dns_port}", "GATEWAY_LISTEN": f"127.0.0.1:{port}"}
    # Variables that nginx/entrypoint derives from a pod's.
    environment |= {"INCLUDE_TLS": "", "INCLUDE_TRUSTED_PROXIES": "", "CLIENT_SCHEME": "$scheme"}
    environment["POD_NAMESPACE"] = objects.kind("Deployment")["gateway"]["metadata"]["namespace"]
    files = dict(mounted_files(objects, pod))
    # Replaces the image's own template.
    assert Path("/etc/nginx/templates/gateway.conf.template") in files
    files[Path("/etc/nginx/nginx.conf")] = (CHECKOUT / "nginx/nginx.conf").read_text(encoding="utf-8")
    for path, text in files.items():
        if path.suffix == ".template":
            path = Path(environment["NGINX_ENVSUBST_OUTPUT_DIR"], path.stem)
            text = re.sub(r"\$\{([A-Z_]+)\}", lambda match: environment[match[1]], text)
        target = folder / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(relocated(text, folder), encoding="utf-8")
    return folder / "etc/nginx/nginx.conf"


def relocated(text: str, folder: Path) -> str:
    """Move the paths into the folder; request no more files than any machine allows."""
    text = re.sub(r"(/run|/etc)/nginx\b", rf"{folder}\g<0>", text)
    return text.replace("worker_rlimit_nofile 10304;", "").replace("worker_connections 10240;", "")


@pytest.fixture(scope="module")
def dns() -> Iterator[ClusterDns]:
    server = ClusterDns()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def url(dns: ClusterDns) -> Iterator[str]:
    port = free_port()
    with short_folder("kubernetes") as folder:
        conf = write_configuration(folder, dns_port=dns.server_address[1], port=port)
        nginx = ENVIRONMENTS / "servers/bin/nginx"
        with (folder / "output").open("w") as output:
            # As root, nginx would run its workers as another user.
            command = [nginx, "-e", "stderr", "-p", folder, "-c", conf, "-g", "daemon off; user root;"]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: status(f"{address}/healthz") == 200, timeout=10,
                       what=lambda: f"nginx responds: {(folder / 'output').read_text()}")  # fmt: skip
            yield address
        finally:
            process.terminate()
            process.wait(timeout=10)


def status(url: str) -> int:
    return fetch(url)[0]


def fetch(url: str) -> tuple[int, str]:
    """Return the status and the address of the pod that responded; the status is 0 while nothing listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""
    except OSError:
        return 0, ""


@contextmanager
def pods(*addresses: str) -> Iterator[dict[str, Pod]]:
    running = {address: Pod(address) for address in addresses}
    try:
        yield running
    finally:
        for pod in running.values():
            pod.stop()


TASKS = "tasks.task-api.svc.cluster.local"
ONE, TWO = "127.77.0.1", "127.77.0.2"


def test_the_gateway_starts_without_services_and_finds_one_by_its_complete_name(dns: ClusterDns, url: str) -> None:
    dns.addresses.clear()
    wait_until(lambda: status(f"{url}/api/tasks") == 502, timeout=10, what="the gateway finds no pod of tasks")

    with pods(ONE):
        dns.addresses[TASKS] = [ONE]
        wait_until(lambda: fetch(f"{url}/api/tasks") == (200, ONE), timeout=10, what="the gateway finds the pod")

    assert dns.queried == {f"{service}.task-api.svc.cluster.local" for service in ("auth", "tasks", "scheduler")}


def test_the_gateway_follows_pods_without_a_restart(dns: ClusterDns, url: str) -> None:
    with pods(ONE, TWO):
        dns.addresses[TASKS] = [ONE]
        wait_until(lambda: fetch(f"{url}/api/tasks") == (200, ONE), timeout=10, what="the gateway finds the first pod")
        dns.addresses[TASKS] = [TWO]
        wait_until(lambda: fetch(f"{url}/api/tasks") == (200, TWO), timeout=10, what="the gateway follows")


def test_no_get_fails_for_a_pod_that_the_dns_still_names(dns: ClusterDns, url: str) -> None:
    with pods(ONE, TWO) as running:
        dns.addresses[TASKS] = [ONE, TWO]
        for address in (ONE, TWO):
            wait_until(lambda address=address: fetch(f"{url}/api/tasks") == (200, address), timeout=10,
                       what=f"the gateway uses {address}")  # fmt: skip
        running.pop(ONE).stop()

        assert {fetch(f"{url}/api/tasks") for _ in range(40)} == {(200, TWO)}
