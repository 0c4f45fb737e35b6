from pathlib import Path

import pytest

from local import programs
from local.errors import CommandError


@pytest.mark.parametrize(
    ("program", "says", "taken"),
    [
        (programs.REDIS, "Redis server v=6.2.0 sha=0:0 bits=64", True),
        (programs.REDIS, "Redis server v=10.0.0 sha=0:0 bits=64", True),
        (programs.REDIS, "Redis server v=6.0.16 sha=0:0 bits=64", False),
        (programs.NGINX, "nginx version: nginx/1.22.1", True),
        (programs.NGINX, "nginx version: nginx/1.18.0 (Ubuntu)", False),
        (programs.NGINX, "nginx version: openresty/1.27.1", False),
        (programs.NGINX, "", False),
    ],
)
def test_version(program: programs.Program, says: str, taken: bool) -> None:
    assert programs.is_new_enough(says, program.version, program.minimum) is taken


def test_program_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    paths = []
    for version in ("1.18.0", "1.27.3"):
        path = tmp_path / version
        path.write_text(f"#!/bin/sh\necho 'nginx version: nginx/{version}' >&2\n", encoding="utf-8")
        path.chmod(0o755)
        paths.append(str(path))

    assert programs.NGINX.find([None, *paths]) == paths[1]
    with pytest.raises(CommandError, match=r"^nginx is missing: install nginx 1.22 or newer$"):
        programs.NGINX.find([paths[0], None])


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [
        ({}, []),
        ({"TRUSTED_PROXIES": "::1"}, ["http_realip_module"]),
        ({"TLS_CERTIFICATE_FILE": "/c.pem"}, ["http_v2_module"]),
    ],
)
def test_module_that_nginx_lacks_matters_where_a_setting_needs_it(
    tmp_path: Path, settings: dict[str, str], lacking: list[str]
) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\necho 'nginx/1.27.3 --with-http_ssl_module --with-http_v2_module_not' >&2\n")
    nginx.chmod(0o755)

    needed = programs.needed_modules(settings)
    assert programs.missing_modules(str(nginx), needed) == lacking
    if lacking:
        with pytest.raises(CommandError, match=f"was built without {lacking[0]}, which TLS or TRUSTED_PROXIES needs"):
            programs.find_nginx({"PATH": str(tmp_path), **settings})
