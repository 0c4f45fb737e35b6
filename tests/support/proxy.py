"""A TCP proxy that disturbs connections and counts round trips."""

import contextlib
import socket
import threading

from support.ports import free_port


class Proxy:
    """A TCP proxy in front of a server: it works, is cut (nothing listens), or swallows all data.

    ``round_trips`` counts the requests sent to the server since the start.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._swallows = threading.Event()
        self.port = free_port()
        self._listener: socket.socket | None = None
        self.round_trips = 0

    def work(self) -> None:
        """Forward all data. Connections whose data was swallowed are closed, as by a restarting router."""
        self._swallows.clear()
        if self._listener is not None:
            self._close_connections()
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Close connections and refuse new ones, as if the server's process had exited."""
        if self._listener is not None:
            # Interrupts a pending accept() in a thread; close() alone does not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._close_connections()

    def swallow(self) -> None:
        """Keep and accept connections but forward nothing, as if the network or the machine were down."""
        self._swallows.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                self._pairs.append((client, server))
                responded = threading.Event()
                responded.set()
                for ends in ((client, server), (server, client)):
                    from_client = ends[0] is client
                    threading.Thread(
                        target=self._pump, args=(*ends, responded), kwargs={"from_client": from_client}, daemon=True
                    ).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, responded: threading.Event, *, from_client: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not from_client:
                    responded.set()
                elif responded.is_set():
                    responded.clear()
                    self.round_trips += 1
                if not self._swallows.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _close_connections(self) -> None:
        while self._pairs:
            for end in self._pairs.pop():
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
