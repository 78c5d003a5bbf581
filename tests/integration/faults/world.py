"""What one run of faults happens in: a store, a cache, a scratch folder, and a ledger of what was committed.

The ledger lies where no fault reaches it. A version is in it only if the operation that made it came back.
"""

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from resources.storage import content, files, object_store
from resources.storage.cache import download
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store

Place = Literal["folder", "s3"]
TIMEOUT_S, RETRIES = 0.5, 1
CALL_S = (RETRIES + 1) * 4 * TIMEOUT_S
"""Longest time of one call to a store whose server answers too slowly to fail sooner."""
BUDGET_BYTES = 20_000
_ROWS = 300
_IN_PARTS = 5 * 2**20 + 9_999
_SIZES = (1, 700, 9_999, 12_345, 0, _IN_PARTS, 5_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where one run of faults happens; it can be sent to a process.

    Attributes:
        home: Its folder.
        url: Its store.
        env: Variables that reach the server.
    """

    home: Path
    url: str
    env: Mapping[str, str]

    @property
    def place(self) -> Place:
        """The kind of its store."""
        return "s3" if self.url.startswith("s3://") else "folder"

    @property
    def disk(self) -> Path:
        """The folder of everything that the storage keeps on this host."""
        return self.home / "disk"

    @property
    def scratch(self) -> Path:
        """The folder for unfinished shards."""
        return self.disk / "scratch"

    @property
    def cache(self) -> Path:
        """The folder of the cache."""
        return self.disk / "cache"

    def enter(self, endpoint: str | None = None) -> None:
        """Set up this process: the way to the server, or to what stands before it, and small ranges."""
        os.environ.update(self.env)
        if endpoint:
            os.environ["AWS_ENDPOINT_URL"] = endpoint
        _make_small()

    def store(self, *, hasty: bool = False) -> Store:
        """Return the store anew; a hasty one gives up soon, as an operation under faults must."""
        if self.place == "folder":
            return FolderStore(Path(self.url))
        patience: dict[str, Any] = {"timeout_s": TIMEOUT_S, "retries": RETRIES} if hasty else {}
        return ObjectStore(self.url, cache=self.cache, cache_bytes=BUDGET_BYTES, **patience)

    def commit(self, version: int, value: object = None) -> None:
        """Write into the ledger that `version` was committed."""
        with self._ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps([version, value]) + "\n")

    def committed(self) -> dict[int, Any]:
        """Return what the ledger says of each version."""
        if not self._ledger.exists():
            return {}
        return dict(json.loads(line) for line in self._ledger.read_text(encoding="utf-8").splitlines())

    @property
    def _ledger(self) -> Path:
        return self.home / "ledger.jsonl"


def _make_small() -> None:
    """Cut files into ranges and parts of some KB, so that small ones have many points where something can go wrong."""
    content.BLOCK_BYTES, content.CHUNK_BYTES = 64, 4096
    files.CHUNK_BYTES = download.CHUNK_BYTES = content.CHUNK_BYTES
    download.RANGE_CHUNKS = 1
    object_store._CREATE_BYTES, object_store.PART_BYTES = 100_000, 5 * 2**20  # S3 takes no smaller parts


def frame(version: int) -> pl.DataFrame:
    """Return the rows of a version."""
    return pl.DataFrame(
        {"version": [version] * _ROWS, "row": range(_ROWS), "text": [f"{version} {i}" for i in range(_ROWS)]}
    )


def data_of(version: int) -> bytes:
    """Return the bytes of a version that is one object."""
    return random.Random(version).randbytes(_SIZES[version % len(_SIZES)]) + f"{version}".encode()
