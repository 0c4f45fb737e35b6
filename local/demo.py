"""`make demo`: a tour of the running stack in the terminal, showing each request as a curl command with its response.

The requests are sent by Python, not curl, which may not be installed; a test compares the two.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import os
import queue
import re
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import environment, lock, settings
from local.errors import CommandError

# The response headers that matter to a client.
SHOWN_HEADERS = ("Location", "ETag", "Link", "WWW-Authenticate", "RateLimit-Policy")
SECRET = re.compile(r"(eyJ[\w-]{9})[\w-]*\.[\w-]+\.[\w-]+|(whsec_[\w+/]{4})[\w+/=]+")
# A delivery takes about a second.
WEBHOOK_WITHIN_SECONDS = 10.0
VARIABLE = re.compile(r"\$([A-Z_]+)")


@dataclass(frozen=True)
class Call:
    """A request. ``$NAME`` in a header or the body stands for a token, here and in the shell."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        return self.headers | ({} if self.body is None else {"Content-Type": "application/json"})

    def text(self) -> str | None:
        return None if self.body is None else json.dumps(self.body, ensure_ascii=False)


@dataclass(frozen=True)
class Response:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


def as_curl(call: Call, url: str) -> str:
    """Return the curl command that sends the request."""
    method = "" if call.method == ("POST" if call.body is not None else "GET") else f"-X {call.method} "
    insecure = "--insecure " if url.startswith("https:") else ""
    lines = [f"curl -sS {insecure}{method}{_quoted(url + call.path)}"]
    lines += [f"-H {_quoted(f'{name}: {value}')}" for name, value in call.all_headers().items()]
    if (text := call.text()) is not None:
        lines.append(f"-d {_quoted(text)}")
    return " \\\n    ".join(lines)


def _quoted(text: str) -> str:
    """Quote for the shell, so that it expands the variables and nothing else."""
    if re.fullmatch(r"[\w:/.-]+", text, re.ASCII):
        return text
    if "$" in text and not re.search(r'["\\`]', text):
        return f'"{text}"'
    return VARIABLE.sub(r"""'"$\1"'""", "'" + text.replace("'", r"'\''") + "'")


def send(call: Call, url: str, variables: Mapping[str, str]) -> Response:
    """Send the request; after a 429, wait and send it again.

    Raises CommandError if no stack responds.
    """

    def filled(text: str) -> str:
        return VARIABLE.sub(lambda match: variables[match[1]], text)

    connection = connection_to(url)
    text = call.text()
    try:
        connection.request(
            call.method,
            call.path,
            body=None if text is None else filled(text).encode(),
            headers={name: filled(value) for name, value in call.all_headers().items()},
        )
        response = connection.getresponse()
        result = Response(response.status, response.reason, response.headers, response.read().decode())
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"no stack responds at {url} ({reason}); make up starts one") from None
    finally:
        connection.close()
    if result.status == 429:
        time.sleep(int(result.headers["Retry-After"]))
        return send(call, url, variables)
    return result


def connection_to(url: str) -> http.client.HTTPConnection:
    """Return an unopened connection to the stack."""
    scheme, _, host = url.partition("://")
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=30)
    # Like curl's --insecure: the certificate is for the machine's public name, not localhost.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, timeout=30, context=context)


class Tour:
    """Shows requests one after the other, and stores the tokens under the names shown on the screen."""

    def __init__(self, url: str, *, pause: float) -> None:
        self.url = url
        self.pause = pause
        self.variables: dict[str, str] = {}
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def show(
        self,
        title: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        expect: int | tuple[int, ...],
        bearer: str | None = "TOKEN",
        **headers: str,
    ) -> Response:
        """Show one request: title, command and response. Raises CommandError if the status is not the expected one."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if bearer is not None:
            sent = {"Authorization": f"Bearer ${bearer}", **sent}
        call = Call(method, path, body, sent)
        print(self._coloured("1", f"\n# {title}"))
        print(self._coloured("36", as_curl(call, self.url)), flush=True)
        response = send(call, self.url, self.variables)
        print(self._coloured("32" if response.status < 400 else "33", f"HTTP {response.status} {response.reason}"))
        for name in SHOWN_HEADERS:
            if name in response.headers:
                print(f"{name}: {response.headers[name]}")
        if response.text:
            print(SECRET.sub(r"\1\2…", json.dumps(response.json(), indent=2, ensure_ascii=False)))
        sys.stdout.flush()
        expected = (expect,) if isinstance(expect, int) else expect
        if response.status not in expected:
            raise CommandError(f"the status of this response should have been {' or '.join(map(str, expected))}")
        time.sleep(self.pause)
        return response

    def show_received(self, received: "queue.Queue[str]") -> None:
        """Show the delivery that the receiver got, or that none has arrived."""
        with contextlib.suppress(queue.Empty):
            print(self._coloured("1", "\n# It arrives at the receiver, signed."))
            print(self._coloured("32", received.get(timeout=WEBHOOK_WITHIN_SECONDS)))
            return
        print("nothing has arrived")

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colours else text


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, "queue.Queue[str]"]]:
    """Run a webhook receiver; yields its URL and a queue of the requests, each as text."""
    received: queue.Queue[str] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Queue the request and accept it."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            lines = [f"{name}: {self.headers[name]}" for name in self.headers if name.startswith("webhook-")]
            received.put("\n".join([self.requestline, *lines, json.dumps(json.loads(body), indent=2)]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


def tour_webhooks(stop: Tour) -> None:
    """Show a delivery to a receiver in this process."""
    with receiver() as (url, received):
        body = {"url": url, "events": ["task.created"]}
        title = "Notify a server of new tasks. The secret, shown only once, verifies the deliveries."
        created = stop.show(title, "POST", "/api/webhooks", body, expect=(201, 400))
        if created.status == 400:
            print("This stack sends nothing to private addresses (WEBHOOK_ALLOW_PRIVATE_NETWORKS=0, as in containers).")
            return
        path = created.headers["Location"]
        stop.show("A new task …", "POST", "/api/tasks", {"title": "Feed the cat", "duration": 5}, expect=201)
        stop.show_received(received)
        stop.show("Every delivery can be looked up.", "GET", f"{path}/deliveries?limit=1", expect=200)
        stop.show("Delete the webhook.", "DELETE", path, expect=204)


def tour(stop: Tour) -> None:
    """Show the whole tour."""
    # New names in each run, so that none is taken.
    run = secrets.token_hex(3)
    ada = {"username": f"ada-{run}", "password": "correct horse battery staple"}
    eve = {"username": f"eve-{run}", "password": "correct horse battery staple"}

    stop.show("Is everything up?", "GET", "/readyz", expect=200, bearer=None)

    stop.show("Register.", "POST", "/api/auth/register", ada, expect=201, bearer=None)
    title = "Log in. From here on $TOKEN is the access token, valid for five minutes, and $REFRESH the refresh token."
    tokens = stop.show(title, "POST", "/api/auth/token", ada, expect=200, bearer=None).json()
    stop.variables |= {"TOKEN": tokens["access"], "REFRESH": tokens["refresh"]}

    report = {"title": "Write the report", "duration": 90}
    created = stop.show("Create a task of 90 minutes.", "POST", "/api/tasks", report, expect=201)
    path, version = created.headers["Location"], created.headers["ETag"]
    stop.show("And one of 5 minutes.", "POST", "/api/tasks", {"title": "Water the plants", "duration": 5}, expect=201)
    stop.show("List the last four, newest first.", "GET", "/api/tasks", expect=200)
    title = "Rename the first, if it is still the version that I created."
    stop.show(title, "PATCH", path, {"title": "Send the report"}, expect=200, If_Match=version)
    title = "The same version again: the task has changed since, so nothing happens."
    stop.show(title, "PATCH", path, {"title": "Burn the report"}, expect=412, If_Match=version)
    title = "The duration cannot be changed, and then the title is not changed either."
    stop.show(title, "PATCH", path, {"title": "Send it", "duration": 5}, expect=400)

    stop.show("Another user registers …", "POST", "/api/auth/register", eve, expect=201, bearer=None)
    title = "… and logs in. Eve's access token is $EVE."
    stop.variables["EVE"] = stop.show(title, "POST", "/api/auth/token", eve, expect=200, bearer=None).json()["access"]
    stop.show("To Eve, my task does not exist.", "GET", path, expect=404, bearer="EVE")
    stop.show("Without a token, the API refuses every task.", "GET", path, expect=401, bearer=None)
    stop.show("Background jobs are for staff (make superuser).", "GET", "/api/jobs", expect=403)

    tour_webhooks(stop)

    title = "Get the next pair of tokens. Each refresh token is valid once."
    body = {"refresh": "$REFRESH"}
    tokens = stop.show(title, "POST", "/api/auth/token/refresh", body, expect=200, bearer=None).json()
    stop.variables |= {"TOKEN": tokens["access"], "REFRESH": tokens["refresh"]}
    stop.show("Delete the task.", "DELETE", path, expect=204)
    stop.show("Log out.", "POST", "/api/auth/logout", body, expect=204, bearer=None)
    time.sleep(2)
    title = "Two seconds later every service refuses the token, although its five minutes are not over."
    stop.show(title, "GET", "/api/tasks", expect=401)


def main(arguments: list[str]) -> int:
    """Run the tour."""
    parser = argparse.ArgumentParser(prog="make demo", description="A tour of the running stack.")
    parser.add_argument("--pause", type=float, default=0.4, metavar="SECONDS", help="pause after each response (0.4)")
    pause = parser.parse_args(arguments).pause
    tour(Tour(url_of_stack(environment.load()), pause=pause))
    return 0


def url_of_stack(env: Mapping[str, str]) -> str:
    """Return the URL of the stack that `make up` runs in this checkout, else the one in .env, which containers use.

    Raises CommandError if no stack responds.
    """
    port = lock.running_port(Path(env["RUN_DIR"])) or settings.port("GATEWAY_PORT", env["GATEWAY_PORT"])
    url = f"http://localhost:{port}"
    # A stack with TLS redirects every path to it except the probes.
    response = send(Call("GET", "/api"), url, {})
    return response.headers["Location"].removesuffix("/api") if response.status == 308 else url
