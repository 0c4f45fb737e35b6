"""`make openapi`: generate the OpenAPI document and the pages about problems.

console/openapi.json   the one OpenAPI document of the three services and the gateway
console/problems.html  the page that a problem's `type` leads to
docs/problems.md       the same, for readers of the repository

With an argument, write into that folder: a test compares it with the files in git.
"""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from gateway import base_document, health_document
from merge import merge
from servicekit.http.problems import PROBLEMS

CHECKOUT = Path(__file__).resolve().parent.parent
# Each service and its apps.
APPS = {"auth": ["accounts"], "tasks": ["tasks"], "scheduler": ["jobs", "webhooks"]}
# What the services' settings require. Nothing is connected to, and none of this appears in the document.
SETTINGS = {
    "JWT_KEYS": "openapi:" + "k" * 48,
    "DATABASE_URL": "sqlite:////nowhere",
    "REDIS_URL": "unix:///nowhere",
} | {f"{name.upper()}_SECRET_KEY": name * 12 for name in (*APPS, "webhook")}


def main(target: Path) -> None:
    pages = {
        "console/openapi.json": json.dumps(build_document(), ensure_ascii=False, indent=1) + "\n",
        "console/problems.html": problems_html(),
        "docs/problems.md": problems_markdown(),
    }
    for name, text in pages.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def build_document() -> dict[str, object]:
    services = (service_document(service, apps) for service, apps in APPS.items())
    return merge(base_document(), *services, health_document())


def service_document(service: str, apps: list[str]) -> dict[str, object]:
    """Run the service's own Python: one process cannot load two services."""
    result = subprocess.run(
        [CHECKOUT / f"var/env/{service}-dev/bin/python", "-m", "servicekit.openapi.document", *apps],
        cwd=CHECKOUT / "services" / service,
        env={**SETTINGS, "DJANGO_SETTINGS_MODULE": f"{service}_service.settings", "PATH": os.defpath},
        stdout=subprocess.PIPE,
        check=False,
    )
    if result.returncode:
        raise SystemExit(f"FAILED: the OpenAPI document of {service}")
    document: dict[str, object] = json.loads(result.stdout)
    return document


INTRODUCTION = (
    "Every error of this API is a problem document (RFC 9457): `application/problem+json` with `type`, `title`, "
    "`status`, `detail`, `instance` and `request_id`. Some 400 responses also have `errors`, which maps fields to "
    "messages. Programs should rely on `type`, one of the paths below, each of which leads here; `detail` is for "
    "people and may change."
)

GENERATED = "`make openapi` generates this page from [the code's list](../shared/src/servicekit/http/problems.py)."


def problems_markdown() -> str:
    lines = ["# Problems", "", INTRODUCTION, "", GENERATED, ""]
    for problem in PROBLEMS.values():
        lines += [
            f"## {problem.slug}",
            "",
            f"`{problem.type}` · **{problem.status} {problem.title}**",
            "",
            problem.meaning,
            "",
            f"*What to do:* {problem.advice}",
            "",
        ]
    return "\n".join(lines)


def problems_html() -> str:
    sections = "\n".join(
        f'<section id="{problem.slug}" aria-labelledby="{problem.slug}-title">\n'
        f'  <h2 id="{problem.slug}-title">{problem.status} {html.escape(problem.title)}</h2>\n'
        f"  <p><code>{problem.type}</code></p>\n"
        f"  <p>{_inline(problem.meaning)}</p>\n"
        f"  <p><strong>What to do:</strong> {_inline(problem.advice)}</p>\n"
        "</section>"
        for problem in PROBLEMS.values()
    )
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Problems · Task API</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/console/console.css">
</head>
<body>
<main class="text">
<header>
  <p><a href="/">← Task API</a></p>
  <h1 class="heading">Problems</h1>
  <p class="lead">{_inline(INTRODUCTION)}</p>
  <p>The <a href="/api/docs">reference</a> lists the problems of each operation.</p>
</header>

{sections}
</main>
</body>
</html>
"""


def _inline(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT)
