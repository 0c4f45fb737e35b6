"""The paths of the checkout and its environments."""

import os
import re
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = CHECKOUT / "var/env"
SERVICES = ("auth", "tasks", "scheduler")
SWAGGER_UI = ENVIRONMENTS / "pages/drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist"


def python(environment: str) -> Path:
    """Return the Python of one of make's environments."""
    return ENVIRONMENTS / environment / "bin/python"


def project_variables() -> set[str]:
    """Return the names of the variables documented in .env.example."""
    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^(?:# )?([A-Z][A-Z_]*)=", example, re.MULTILINE))


def make_checkout(folder: Path) -> Path:
    """Create a checkout without a .env: the launcher and the gateway are copied, environments and services linked."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("local", "nginx", "console"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*_cache"))
    shutil.copy(CHECKOUT / ".env.example", folder)
    (folder / "services").symlink_to(CHECKOUT / "services")
    (folder / "var").mkdir()
    (folder / "var/env").symlink_to(ENVIRONMENTS)
    return folder


def copy_project(folder: Path) -> None:
    """Copy the project like a fresh clone, without .env and state; environments are linked, which saves minutes."""
    ignored = shutil.ignore_patterns(".git", ".env", "node_modules", "__pycache__", "*_cache")
    shutil.copytree(
        CHECKOUT,
        folder,
        dirs_exist_ok=True,
        symlinks=True,
        ignore=lambda path, names: {*ignored(path, names), *({"var"} if Path(path) == CHECKOUT else ())},
    )
    for part in ("local", *(f"services/{service}" for service in SERVICES)):
        ready, lock = ENVIRONMENTS / Path(part).name / ".ready", CHECKOUT / part / "requirements.txt"
        assert ready.stat().st_mtime >= lock.stat().st_mtime, f"{part} is not installed as locked; make test does that"
    environments = folder / "var/env"
    environments.mkdir(parents=True)
    for environment in ENVIRONMENTS.iterdir():
        if environment.is_dir():
            (environments / environment.name).symlink_to(environment)
    # make records the checkout and the Python here. If they differed, make would rebuild the linked environments.
    note = (ENVIRONMENTS / "python").read_text(encoding="utf-8")
    assert note.startswith(f"{CHECKOUT} "), "the checkout was moved; make test rebuilds the environments"
    (environments / "python").write_text(note.replace(str(CHECKOUT), str(folder), 1), encoding="utf-8")
    os.utime(environments / "python", (0, 0))
