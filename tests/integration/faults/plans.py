"""Which fault happens where at one point of the matrix: drawn from a seed, over what an undisturbed attempt did."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.integration.faults.clock import JUMPS_S
from tests.integration.faults.disk import DiskFault, eligible
from tests.integration.faults.disk import Kind as DiskKind
from tests.integration.faults.proxy import MOMENTS, NetworkFault
from tests.integration.faults.proxy import Kind as NetworkKind
from tests.integration.faults.world import Place

_BOTH: tuple[Place, ...] = ("folder", "s3")
_FOR_GOOD = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """What an attempt comes to when nothing goes wrong.

    Attributes:
        requests: Requests to the server.
        operations: File operations.
        took_s: Its time.
    """

    requests: int
    operations: tuple[str, ...]
    took_s: float

    def count(self, kind: DiskKind) -> int:
        """Return how many of its file operations a fault can hit."""
        return sum(eligible(kind, operation) for operation in self.operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes wrong at one point; of the possible things usually one.

    Attributes:
        network: A fault of the network.
        disk: A fault of the local files.
        jump: A jump of the clock in seconds, and after how many of its calls.
        kill_after_s: When the process is killed, if it is killed by time.
        kills: Whether `network` calls for a kill.
        stops: Whether `network` calls for a stop of the server.
        flip: Which file and bit flips, as a share; before that, `disk` strikes in an attempt of its own.
    """

    network: NetworkFault | None = None
    disk: DiskFault | None = None
    jump: tuple[float, int] = (0.0, 0)
    kill_after_s: float | None = None
    kills: bool = False
    stops: bool = False
    flip: float | None = None


Draw = Callable[[Random, int, Undisturbed], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of the matrix.

    Attributes:
        places: Stores in which it can happen.
        draw: Returns the plan of one point; the number counts the points of one world, so that each way for a thing to
            go wrong has its turn.
        waits: Whether it mostly waits for a timeout, so that many worlds go side by side.
    """

    places: tuple[Place, ...]
    draw: Draw
    waits: bool = False


def _network(kind: NetworkKind) -> Draw:
    def draw(chance: Random, turn: int, usual: Undisturbed) -> Plan:
        return Plan(network=_at_random(kind, chance, usual))

    return draw


def _at_random(kind: NetworkKind, chance: Random, usual: Undisturbed) -> NetworkFault:
    return NetworkFault(
        kind=kind,
        moment=chance.choice(MOMENTS[kind]),
        request=chance.randrange(usual.requests),
        times=1 if kind == "call" else chance.choice((1, 1, 2, _FOR_GOOD)),
        share=chance.random(),
        relabelled=chance.random() < 0.3,
    )


def _stop(chance: Random, turn: int, usual: Undisturbed) -> Plan:
    if turn % 2:
        return Plan(network=_at_random("freeze", chance, usual))
    return Plan(network=_at_random("call", chance, usual), stops=True)


def _kill(chance: Random, turn: int, usual: Undisturbed) -> Plan:
    # The first attempt of a process, by which the time was taken, is some times slower than the others.
    ways: list[Callable[[], Plan]] = [lambda: Plan(kill_after_s=chance.uniform(0, usual.took_s / 3))]
    if changes := usual.count("kill"):
        fault = DiskFault(kind="kill", operation=chance.randrange(changes), half=chance.random() < 0.5)
        ways.append(lambda: Plan(disk=fault))
    if usual.requests:
        ways.append(lambda: Plan(network=_at_random("call", chance, usual), kills=True))
    return ways[turn % len(ways)]()


def _disk(kind: DiskKind) -> Draw:
    def draw(chance: Random, turn: int, usual: Undisturbed) -> Plan:
        fault = DiskFault(
            kind=kind,
            operation=chance.randrange(usual.count(kind)),
            half=chance.random() < 0.5,
            lasting=chance.random() < 0.3,
        )
        return Plan(disk=fault)

    return draw


def _flip(chance: Random, turn: int, usual: Undisturbed) -> Plan:
    half_done = DiskFault(kind="kill", operation=chance.randrange(usual.count("kill") or 1))
    return Plan(flip=chance.random(), disk=half_done if turn % 2 else None)


def _jump(chance: Random, turn: int, usual: Undisturbed) -> Plan:
    if usual.requests and turn % 3 == 0:  # what S3 says when the client's clock is wrong by a quarter of an hour
        return Plan(network=_at_random("skew", chance, usual))
    return Plan(jump=(chance.choice(JUMPS_S), chance.randrange(4)))


FAULTS: dict[str, Fault] = {
    "kill -9": Fault(places=_BOTH, draw=_kill),
    "server stopped": Fault(places=("s3",), draw=_stop, waits=True),
    "reset": Fault(places=("s3",), draw=_network("reset")),
    "short body": Fault(places=("s3",), draw=_network("short")),
    "bit flipped in body": Fault(places=("s3",), draw=_network("flip")),
    "bit flipped on disk": Fault(places=_BOTH, draw=_flip),
    "disk full": Fault(places=_BOTH, draw=_disk("full")),
    "I/O error": Fault(places=_BOTH, draw=_disk("error")),
    "503 SlowDown": Fault(places=("s3",), draw=_network("slow down")),
    "clock jump": Fault(places=_BOTH, draw=_jump),
}

IDLE: dict[tuple[str, str, Place], str] = {
    ("bit flipped on disk", "put", "s3"): "reads nothing of the cache",
    ("bit flipped on disk", "publish", "s3"): "reads nothing of the cache",
    ("bit flipped on disk", "move ref", "s3"): "reads nothing of the cache",
    ("bit flipped on disk", "gc", "s3"): "reads nothing of the cache",
    ("disk full", "get", "folder"): "writes nothing",
    ("disk full", "put", "s3"): "writes no local file",
    ("disk full", "move ref", "s3"): "writes no local file",
    ("I/O error", "move ref", "s3"): "uses no local file",
    ("clock jump", "get", "folder"): "asks for no time",
}
"""Faults that cannot strike an operation on one kind of store, and why; where none is left the cell is empty."""


def places(fault: str, operation: str, possible: tuple[Place, ...]) -> list[Place]:
    """Return the stores on which `fault` can strike `operation`, of those where the operation does something."""
    return [place for place in possible if place in FAULTS[fault].places and (fault, operation, place) not in IDLE]
