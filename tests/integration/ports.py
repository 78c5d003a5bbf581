"""Owns choosing loopback ports for servers that must be told theirs; whoever can bind port 0 itself needs none of it.

    with on_free_ports(lambda ports: serving(*ports)) as server:
        ...

The ports lie below 32,768, from where on Linux lends them to connections by itself: what was free a moment ago is then
taken by no client, only by another server that chose the same one, and the start is tried again with others.
"""

import re
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

T = TypeVar("T")
FIRST, LAST = 12_000, 22_700
"""The ports to choose from; the one 10,000 above each, SeaweedFS's for gRPC, lies below 32,768 as well."""
STARTS = 5
_TAKEN = re.compile(r"address already in use|\bport \d+\b.* is not available", re.IGNORECASE)


class PortTakenError(RuntimeError):
    """A server did not get a port that was free when it was chosen."""


@contextmanager
def on_free_ports(
    start: Callable[[list[int]], AbstractContextManager[T]], *, count: int = 1, apart: int = 0
) -> Iterator[T]:
    """Enter `start` of free ports until the block ends; again with others, up to five times, where it lost one.

    Args:
        start: Makes a server that listens on the ports given; raises `PortTakenError` where one is not to be had.
        count: How many ports it needs.
        apart: The port so far above each is needed too.
    """
    for left in reversed(range(STARTS)):
        with ExitStack() as stack:
            try:
                server = stack.enter_context(start(free_ports(count, apart=apart)))
            except PortTakenError:
                if left == 0:
                    raise
                continue
            yield server
            return


def check_port(output: str) -> None:
    """Raise if the output of a server says that a port was taken.

    Raises:
        PortTakenError: With the line that says so.
    """
    for line in output.splitlines():
        if _TAKEN.search(line):
            raise PortTakenError(f"another server was faster: {line}")


def free_ports(count: int, *, apart: int = 0) -> list[int]:
    """Return `count` loopback ports that nobody listens on now, nor on the ports `apart` above them."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = FIRST + secrets.randbelow(LAST - FIRST)
            if _hold({port, port + apart}, held):
                found.append(port)
    return found


def _hold(ports: set[int], held: ExitStack) -> bool:
    with ExitStack() as opened:
        for port in ports:
            listener = opened.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                return False
        held.push(opened.pop_all())
    return True
