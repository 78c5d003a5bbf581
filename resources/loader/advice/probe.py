"""Owns the measurements of the adviser that need no loader: copying, reading, opening and decoding."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resources.loader.advice.sample import Sample, file_of
from resources.loader.shards import ArrowShard, ParquetShard, shards_of
from resources.loader.sources import Source

_COPY_BYTES = 64 * 2**20
_PIECE_BYTES = 4 * 2**20


def memcpy(for_s: float) -> float:
    """Return bytes a second that memory copies to memory."""
    source, target = np.ones(_COPY_BYTES, np.uint8), np.ones(_COPY_BYTES, np.uint8)  # pages that are there
    return _COPY_BYTES / best_of(lambda: np.copyto(target, source), for_s)


def cold(sample: Sample, *, for_s: float) -> float | None:
    """Return bytes a second of reading files that the system was asked to forget; None where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return None
    buffer = bytearray(_PIECE_BYTES)
    size_bytes, took_s = 0, 0.0
    for path in paths_of(sample):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            began = time.perf_counter()
            while took_s + (time.perf_counter() - began) < for_s and (got := os.readv(descriptor, [buffer])):
                size_bytes += got
            took_s += time.perf_counter() - began
        finally:
            os.close(descriptor)
        if took_s >= for_s:
            break
    return size_bytes / took_s if size_bytes else None


def file_bytes(source: Source, sample: Sample) -> int:
    """Return the bytes on disk of the sample's rows: their share of the files that they lie in."""
    rows: dict[Path, int] = {}
    for shard in source.shards:
        if isinstance(shard, ArrowShard | ParquetShard):
            rows[shard.path] = rows.get(shard.path, 0) + shard.rows
    total = 0.0
    for shard in sample.source.shards:
        with file_of(shard) as path:
            if path is not None:
                total += path.stat().st_size * shard.rows / max(rows.get(path, shard.rows), 1)
    return int(total)


def opening(sample: Sample, *, for_s: float) -> float:
    """Return how long it takes to open a file and read its footer, in seconds; 0 where an index says all."""
    files = paths_of(sample)
    if not all(isinstance(shard, ArrowShard | ParquetShard) for shard in sample.source.shards):
        return 0.0
    return best_of(lambda: [shards_of(path) for path in files], for_s) / len(files)


def decoding(sample: Sample) -> float:
    """Return how long it takes to open all shards of the sample, in seconds; 0 where they are mapped."""
    if sample.mapped:
        return 0.0
    return min(best_of(lambda: _opened(sample), 0.0) for _ in range(2))


def _opened(sample: Sample) -> None:
    for shard in sample.source.shards:
        shard.open(None)


def paths_of(sample: Sample) -> list[Path]:
    """Return the files of the sample."""
    found: dict[Path, None] = {}
    for shard in sample.source.shards:
        with file_of(shard) as path:
            if path is not None:
                found[path] = None
    return list(found)


def best_of(work: Callable[[], object], for_s: float) -> float:
    """Return the shortest time of some runs, in seconds."""
    best, end = float("inf"), time.perf_counter() + for_s
    while best == float("inf") or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
