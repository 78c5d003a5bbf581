"""What the child processes of the crash matrix do: prepare a world, act under a fault, look at what is left.

Children are forked from a server that has imported everything and has no threads but those of memory allocators and of
Polars, which do nothing by then, so each is as fresh as a new process. One that does not end in time tells where it is.
"""

import faulthandler
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

from resources.errors import PenstockError
from tests.integration.faults import clock
from tests.integration.faults.disk import DiskFault, DiskLayer
from tests.integration.faults.operations import OPERATIONS, Wrong, WrongRows
from tests.integration.faults.world import World

_NEWEST, _OTHERS = 3, 3
_TELL_S = 0.5
# To start a process is also to ask all others whether they have ended, by reading from a descriptor of each. Unless it
# is closed under the same lock, its number may by then be one of a new process, which misses what was read there.
_PROCESSES = Lock()
_IMPORTS = (
    "pytest",  # which each child would import as its parent's main module
    "pyarrow.compute",
    "pyarrow.parquet",
    "obstore.store",
    "sqlite3",
    "polars",
    "quality.contract.arrow",
    "tests.integration.faults.steps",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One operation to be tried under a fault.

    Attributes:
        world: Where.
        operation: Name of the operation.
        version: What it is done with.
        endpoint: What stands before the server; None for the server itself.
        disk: What goes wrong with files.
        jump: Seconds by which the clock jumps, and after how many calls.
    """

    world: World
    operation: str
    version: int
    endpoint: str | None = None
    disk: DiskFault | None = None
    jump: tuple[float, int] = (0.0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended in its process; there is none of a process that was killed.

    Attributes:
        error: What the operation said, empty for success.
        clear: Whether that was an error of Penstock's.
        wrong: Whether it came back with wrong rows.
        took_s: How long it took.
        operations: The file operations that it came to.
    """

    error: str
    clear: bool
    wrong: bool
    took_s: float
    operations: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a fresh process found after an attempt.

    Attributes:
        wrong: What must not be.
        again: What doing it again said, empty for success.
    """

    wrong: tuple[Wrong, ...]
    again: str


def prepare(world: World, operation: str, versions: int) -> bool:
    """Make the world."""
    world.enter()
    OPERATIONS[operation].prepare(world, world.store(), versions)
    return True


def attempt(attempt: Attempt) -> Outcome:
    """Act once while something goes wrong."""
    world, (by_s, calls) = attempt.world, attempt.jump
    world.enter(attempt.endpoint)
    started, error = time.monotonic(), None
    with DiskLayer(world.disk, attempt.disk) as layer, clock.jumping(by_s, after_calls=calls):
        try:
            value = OPERATIONS[attempt.operation].act(world, world.store(hasty=True), attempt.version)
        except Exception as failure:
            error = failure
    took_s = time.monotonic() - started
    if error is None:
        world.commit(attempt.version, value)
    return Outcome(
        error=f"{type(error).__name__}: {error}" if error else "",
        clear=isinstance(error, PenstockError),
        wrong=isinstance(error, WrongRows),
        took_s=took_s,
        operations=tuple(layer.operations),
    )


def examine(world: World, operation: str, version: int, *, again: bool, thorough: bool) -> Findings:
    """Look at the world with nothing going wrong; then, if wanted, do what was attempted, and look again.

    Args:
        world: Where.
        operation: Name of the operation.
        version: What was attempted.
        again: Whether to do it again.
        thorough: Whether to look at every version, not only at the newest and some of the others.
    """
    world.enter()
    found = _wrong(world, operation, version, thorough=thorough)
    if not again:
        return Findings(wrong=tuple(found), again="")
    try:
        world.commit(version, OPERATIONS[operation].act(world, world.store(), version))
    except Exception as error:
        return Findings(wrong=tuple(found), again=f"{type(error).__name__}: {error}")
    return Findings(wrong=(*found, *_wrong(world, operation, version, thorough=False)), again="")


def _wrong(world: World, operation: str, version: int, *, thorough: bool) -> list[Wrong]:
    committed, found = world.committed(), list[Wrong]()
    if not thorough:
        known = sorted(committed)
        some = {*known[-_NEWEST:], version, *Random(version).sample(known, min(_OTHERS, len(known)))}
        committed = {number: committed[number] for number in some & committed.keys()}
    try:
        found.extend(OPERATIONS[operation].wrong(world, world.store(), committed, version))
    except Exception as error:  # any: what cannot be looked at is lost
        found.append(Wrong(kind="lost", text=f"{type(error).__name__}: {error}"))
    return found


class Actor:
    """A process that does one step after another; it may be killed at any time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_IMPORTS))
        self._connection, theirs = context.Pipe()
        descriptor, name = tempfile.mkstemp(prefix="stacks-")
        os.close(descriptor)
        self._stacks = Path(name)
        self._process = context.Process(target=_serve, args=(theirs, name), daemon=True)
        with _PROCESSES:
            self._process.start()
        theirs.close()

    def do(self, step: Callable[..., Any], *arguments: object, within_s: float, **options: object) -> Any:
        """Return what the step returned, or None if the process was killed.

        Raises:
            TimeoutError: If it did not end in time, with the stacks of its threads; it is killed then.
            RuntimeError: If the process ended otherwise.
        """
        try:
            self._connection.send((step, arguments, options))
            if not self._connection.poll(within_s):
                stacks = self._told_stacks()
                self.kill()
                raise TimeoutError(f"a step did not end within {within_s:g} s: {stacks}")
            return self._connection.recv()
        except (EOFError, ConnectionError):
            with _PROCESSES:
                self._process.join(10)
            if self._process.exitcode != -signal.SIGKILL:
                raise RuntimeError(f"a step ended its process with code {self._process.exitcode}") from None
            return None

    @property
    def alive(self) -> bool:
        """Whether it can do another step."""
        with _PROCESSES:
            return self._process.is_alive()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()

    def close(self) -> None:
        """End it, if it still lives, and give back what it took."""
        self._connection.close()
        with _PROCESSES:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._stacks.unlink(missing_ok=True)

    def _told_stacks(self) -> str:
        if self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGUSR1)
            time.sleep(_TELL_S)
        return self._stacks.read_text(errors="replace")


def _serve(connection: Connection, stacks: str) -> None:
    with Path(stacks).open("w", encoding="utf-8") as told:
        faulthandler.register(signal.SIGUSR1, file=told)
        while True:
            try:
                step, arguments, options = connection.recv()
            except EOFError:
                return
            connection.send(step(*arguments, **options))
