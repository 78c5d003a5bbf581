"""Owns the names of files in the cache folder, which alone say what is held and what is reserved.

objects/ab/<digest>      whole and verified
parts/<digest>.<bytes>   being fetched; reserves <bytes> from the moment it exists
parts/<digest>.journal   one byte for each range that is finished; a hint
locks/<digest>           held by the one process that fetches
counters/                what each process counted
leases, hits, index      who uses what, how often it was read, in which order it goes
verifications            when a scrub last hashed each file
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from resources.canonical import digest_bytes

_JOURNAL = ".journal"


def number_of(name: str) -> int:
    """Return 60 bits of the digest `name`: the same in every process, and different for different names."""
    return int(name[:15], 16)


def spare_name(name: str) -> str:
    """Return the name under which a copy is reserved and fetched that shall replace a damaged one of `name`."""
    return digest_bytes(f"in place of {name}".encode())


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of the cache in the folder `root`."""

    root: Path

    @property
    def counters(self) -> Path:
        """Return the folder of what each process counted."""
        return self.root / "counters"

    @property
    def verifications(self) -> Path:
        """Return the file that tells when a scrub last hashed each copy."""
        return self.root / "verifications"

    def make(self) -> None:
        """Make the folders."""
        for folder in ("objects", "parts", "locks"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def final(self, name: str) -> Path:
        """Return where the whole, verified file lies."""
        return _final(self.root, name)

    def part(self, name: str, size_bytes: int) -> Path:
        """Return where the file grows while it is fetched."""
        return self.root / "parts" / f"{name}.{size_bytes}"

    def journal(self, name: str) -> Path:
        """Return the file that tells which ranges of the part are finished."""
        return _journal(self.root, name)

    def lock(self, name: str) -> Path:
        """Return the file that the fetching process locks."""
        return self.root / "locks" / name

    def remove(self, name: str, size_bytes: int) -> None:
        """Unlink whatever there is under `name`; whoever has it open or mapped keeps it."""
        for path in (self.final(name), self.part(name, size_bytes), self.journal(name)):
            path.unlink(missing_ok=True)

    def held(self) -> list[tuple[str, int]]:
        """Return name and bytes of all that is held or reserved, oldest first."""
        # Parts first: one that is published meanwhile is met again as a whole file, never missed.
        found = {name: (time_ns, size) for time_ns, name, size in (*self._parts(), *self._finals())}
        return [(name, size) for name, (_, size) in sorted(found.items(), key=lambda item: item[1])]

    def copies(self) -> Iterator[tuple[float, str, int]]:
        """Yield of each whole file when it was fetched, in seconds since 1970, its name, and its bytes."""
        for time_ns, name, size in self._finals():
            yield time_ns / 1e9, name, size

    def _parts(self) -> Iterator[tuple[int, str, int]]:
        for path, status in _files(self.root / "parts"):
            name, _, size = path.name.rpartition(".")
            if size.isdecimal():
                yield status.st_mtime_ns, name, int(size)

    def _finals(self) -> Iterator[tuple[int, str, int]]:
        for path, status in _files(self.root / "objects"):
            yield status.st_mtime_ns, path.name, status.st_size


@lru_cache(maxsize=4096)  # building a path takes as long as looking at the disk
def _final(root: Path, name: str) -> Path:
    return root / "objects" / name[:2] / name


@lru_cache(maxsize=4096)  # each read of a part looks for it
def _journal(root: Path, name: str) -> Path:
    return root / "parts" / f"{name}{_JOURNAL}"


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
            continue
        try:
            yield Path(entry.path), entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # evicted or published meanwhile
            continue
