"""A remote object in memory for tests of the cache: it counts what is read and can fail or lie on demand."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from resources.errors import StoreError
from resources.storage.content import describe_bytes


class MemoryRemote:
    """An object with the bytes `data`; `answer` may replace what a read returns."""

    def __init__(self, data: bytes, answer: Callable[[int, bytes], bytes] = lambda _number, data: data) -> None:
        self.data = data
        self.reads = 0
        self._answer = answer

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"file {self.digest} in store memory://test"

    @property
    def digest(self) -> str:
        """The digest of its true bytes, which is its name in the cache."""
        return describe_bytes(self.data)[0].digest

    @property
    def size_bytes(self) -> int:
        """Its true size."""
        return len(self.data)

    def read(self, start: int, end: int) -> memoryview:
        """Return a range, or what `answer` makes of it."""
        self.reads += 1
        return memoryview(self._answer(self.reads, self.data[start:end]))


def remote(size_bytes: int) -> MemoryRemote:
    """Return an object of random bytes."""
    return MemoryRemote(secrets.token_bytes(size_bytes))


def fails_at(read: int) -> Callable[[int, bytes], bytes]:
    """Return an answer that fails at one read, counted from 1."""

    def answer(number: int, data: bytes) -> bytes:
        if number == read:
            raise StoreError("the server went away")
        return data

    return answer


def flipped(data: bytes) -> bytes:
    """Return `data` with its first bit flipped."""
    return bytes([data[0] ^ 1]) + data[1:]


def flip(path: Path, at: int) -> None:
    """Flip one bit on the disk."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def bytes_on_disk(root: Path) -> int:
    """Return the bytes of whole files and, as they are when finished, of parts."""
    # Parts first: one that is published meanwhile is met again as a whole file, and counted once.
    held: dict[str, int] = {}
    for path in (root / "parts").iterdir():
        name, _, reserved = path.name.rpartition(".")
        if reserved != "journal":
            held[name] = int(reserved)
            with suppress(FileNotFoundError):
                assert path.stat().st_size <= held[name]
    held |= {path.name: path.stat().st_size for path in (root / "objects").rglob("*") if path.is_file()}
    return sum(held.values())


def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; raise `TimeoutError` after half a minute."""
    waiting = Event()
    for _ in range(3_000):
        if condition():
            return
        waiting.wait(0.01)
    raise TimeoutError
