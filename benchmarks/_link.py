"""Owns a link of a given speed to a server: a process that passes on what clients and server say to each other.

`_link.py PORT BYTES_PER_S` listens on a port of its own, which it prints, and passes what the server at PORT of
loopback answers at so many bytes a second at most, all connections together. Requests pass at once.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE_BYTES = 256 * 2**10


@contextmanager
def link_to(port: int, bytes_per_s: float) -> Iterator[int]:
    """Run a link to a port of loopback, and yield the port to speak to instead."""
    command = [sys.executable, str(Path(__file__).resolve()), str(port), str(bytes_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the link has no output")
            yield int(process.stdout.readline())
        finally:
            process.terminate()


class _Pace:
    """Makes whoever sends wait, so that no more than so many bytes a second are sent."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, size_bytes: int) -> None:
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size_bytes / self._bytes_per_s
            wait_s = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait_s))


def _pass(source: socket.socket, target: socket.socket, wait: Callable[[int], None]) -> None:
    buffer = memoryview(bytearray(_PIECE_BYTES))
    try:
        while count := source.recv_into(buffer):
            wait(count)
            target.sendall(buffer[:count])
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has left
        source.close()
        target.close()


def _serve(port: int, bytes_per_s: float) -> None:
    pace = _Pace(bytes_per_s)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            behind = socket.create_connection(("127.0.0.1", port))
            for item in (client, behind):
                item.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_pass, args=(client, behind, lambda _: None), daemon=True).start()
            threading.Thread(target=_pass, args=(behind, client, pace.wait), daemon=True).start()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
