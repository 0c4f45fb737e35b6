import socket

import pytest

from local import network
from local.errors import CommandError


@pytest.mark.parametrize(("family", "host"), network.LOOPBACKS)
def test_taken_port(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(CommandError) as raised:
            network.refuse_taken_port(port, "GATEWAY_PORT")

    assert str(raised.value).startswith(
        f"GATEWAY_PORT: port {port} of {host} cannot be opened: Address already in use; "
    )
    network.refuse_taken_port(port, "GATEWAY_PORT")
