"""Check locked versions for known vulnerabilities with pip-audit: ``checks/audit.py [lock file…]``, by default all.

Exit with 1 if a version has a known vulnerability, or if the database has no record of a package: pip-audit alone
would count such a package as one without vulnerabilities.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
HEADER = "#    make lock\n"


class AuditError(Exception):
    """The audit failed; the message gives the reason."""


def main(arguments: list[str]) -> int:
    """Audit the lock files and return the exit code."""
    found = 0
    try:
        for lock in [Path(each) for each in arguments] or lock_files():
            dependencies = dependencies_of(pip_audit(lock))
            for line in vulnerabilities(dependencies):
                found += 1
                print(f"{lock}: {line}")
            print(f"{lock}: {len(dependencies)} packages", flush=True)
    except AuditError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    if found:
        print(f"FAILED: {found} known vulnerabilities", file=sys.stderr)
    return 1 if found else 0


def lock_files() -> list[Path]:
    """Return the files that `make lock` writes."""
    files = (path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*.txt"))
    ours = (path for path in files if path.parts[0] != "var" and "node_modules" not in path.parts)
    return sorted(path for path in ours if HEADER in (CHECKOUT / path).read_text(encoding="utf-8")[:200])


def pip_audit(lock: Path) -> str:
    """Return pip-audit's report as JSON; raises AuditError if there is none."""
    program = Path(sys.executable).parent / "pip-audit"
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    done = subprocess.run([program, "--requirement", lock, *options], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise AuditError(f"{lock} could not be audited: {reason}")
    return done.stdout


def dependencies_of(report: str) -> list[dict[str, Any]]:
    """Return the packages of a report; raises AuditError if one was skipped."""
    dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    if skipped:
        raise AuditError(
            f"the database has no record of {len(skipped)} of {len(dependencies)} packages, such as {skipped[0]}: "
            "is this PyPI itself, or a mirror without the advisories?"
        )
    return dependencies


def vulnerabilities(dependencies: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each vulnerability: package, version, the advisory's names, and the versions that fix it."""
    for each in dependencies:
        for vulnerability in each["vulns"]:
            names = ", ".join([vulnerability["id"], *vulnerability["aliases"]])
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
            yield f"{each['name']} {each['version']}: {names}; fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
