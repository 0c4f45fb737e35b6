from pathlib import Path

import pytest

from local.preflight import likely_port


@pytest.mark.parametrize(
    ("shell", "text", "port"),
    [
        ("", None, 8000),
        ("8001", "GATEWAY_PORT=8002\n", 8001),
        ("", "# GATEWAY_PORT=8001\nGATEWAY_PORT=8002\n", 8002),
        ("", "export GATEWAY_PORT='8002'\n", 8002),
        ("", "GATEWAY_PORT=$PORT\n", 8000),
        ("nonsense", "GATEWAY_PORT=99999\n", 8000),
    ],
)
def test_likely_port(tmp_path: Path, shell: str, text: str | None, port: int) -> None:
    dotenv = tmp_path / ".env"
    if text is not None:
        dotenv.write_text(text, encoding="utf-8")
    assert likely_port(shell, dotenv) == port
