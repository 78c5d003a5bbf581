"""Owns a way to a server as long and as narrow as one to a real object store: each connection waits and trickles.

It passes bytes as they are, so that signatures stay valid, and holds one piece of each connection in memory.
"""

import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import urlsplit

LATENCY_S = 0.02
"""Seconds that pass before a request is at the server."""
BYTES_PER_S = 16 * 10**6
"""What one connection carries in a second; S3 is known for a few times as much."""
_PIECE_BYTES = 2**17


@contextmanager
def far_from(endpoint: str) -> Generator[str]:
    """Yield an endpoint on loopback from which it is far to the server at `endpoint`."""
    there = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        Thread(target=_accept, args=(listening, (there.hostname, there.port)), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _accept(listening: socket.socket, there: tuple[str | None, int | None]) -> None:
    with suppress(OSError):  # it was closed
        while True:
            here, _ = listening.accept()
            server = socket.create_connection(there)
            for source, target, waits_s, rate in ((here, server, LATENCY_S, None), (server, here, 0.0, BYTES_PER_S)):
                Thread(target=_pass, args=(source, target, waits_s, rate), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, waits_s: float, bytes_per_s: int | None) -> None:
    due = 0.0
    with suppress(OSError), target:
        while piece := source.recv(_PIECE_BYTES):
            time.sleep(waits_s)
            if bytes_per_s is not None:
                due = max(due, time.perf_counter()) + len(piece) / bytes_per_s
                time.sleep(max(due - time.perf_counter(), 0.0))
            target.sendall(piece)
