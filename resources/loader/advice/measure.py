"""Owns what the adviser measures: the loader over a sample, as it is and packed, beside what memory and disk do.

They take a few seconds in all. The page cache is warm but where it says cold.
"""

import os
import time
from pathlib import Path

from resources.errors import StoreError
from resources.loader.advice.facts import facts_of
from resources.loader.advice.probe import cold, decoding, file_bytes, memcpy, opening
from resources.loader.advice.sample import Sample, sample_of
from resources.loader.advice.spread import spread_of
from resources.loader.advice.values import Facts, Measured
from resources.loader.loader import Loader
from resources.loader.order import ORDERS, OrderName
from resources.loader.pack import pack
from resources.loader.sources import Source
from resources.loader.stored import stored_source
from resources.loader.views import DECODED_BYTES
from resources.storage.scratch import ScratchFolder
from resources.storage.store import open_store

SAMPLE_BYTES = 64 * 2**20
_BYTES_PER_S = 8 * 2**20
"""Bytes of the sample for each second that there is."""
_SLICES = 16
_THREADS = (0, 1, 2)
_PACKED_ORDERS: tuple[OrderName, ...] = ("window", "run", "exact")
_PREFIX = "advice-"


def examine(source: Source, *, scratch: Path, seconds: float, batch_size: int) -> tuple[Facts, Measured]:
    """Return what a dataset is made of and how fast it loads.

    Args:
        source: The dataset.
        scratch: Folder for a packed sample.
        seconds: About how long to measure; a large shard takes longer.
        batch_size: Rows of a batch.

    Raises:
        LoaderError: If the dataset has no rows, or cannot be read.
        StoreError: If scratch cannot be written.
    """
    began, slice_s = time.perf_counter(), seconds / _SLICES
    most_bytes = int(min(SAMPLE_BYTES, seconds * _BYTES_PER_S))
    sample = sample_of(source, most_bytes=most_bytes)
    facts = facts_of(source, sample)
    keep = not facts.is_decoded or facts.size_bytes <= min(DECODED_BYTES, sample.size_bytes)

    def rate(order: OrderName, threads: int | None = None) -> float:
        return _rate(sample.source, batch_size, order, threads, for_s=slice_s, keep=keep)

    def is_over() -> bool:
        return time.perf_counter() - began > seconds

    orders = {"window": rate("window")}
    packed = {} if facts.kind == "packed" else _packed(sample, most_bytes, scratch, batch_size, slice_s)
    orders |= {order: rate(order) for order in ORDERS if order != "window" and not is_over()}
    threads = {
        number: rate("window", number) for number in _THREADS if number <= (os.cpu_count() or 1) and not is_over()
    }
    sorted_by = [column.name for column in facts.columns if column.is_sorted]
    decode_s, spread = decoding(sample), spread_of(source, sample, sorted_by, batch_size, for_s=slice_s)
    measured = Measured(
        batch_size=batch_size,
        sample_rows=sample.source.layout.total_rows,
        sample_bytes=sample.size_bytes,
        memcpy_bytes_per_s=memcpy(slice_s),
        file_bytes=file_bytes(source, sample),
        open_s=opening(sample, for_s=slice_s),
        decode_s=decode_s,
        orders=orders,
        threads=threads,
        packed=packed,
        spread=spread,
        cold_bytes_per_s=cold(sample, for_s=slice_s),  # at last: it empties the page cache of the sample
    )
    return facts, measured


def _rate(source: Source, batch_size: int, order: OrderName, threads: int | None, *, for_s: float, keep: bool) -> float:
    """Return rows a second of whole epochs; of a later one if shards stay open from one to the next (`keep`)."""
    rows, took_s = 0, 0.0
    loader = Loader(source, batch_size, order=order, threads=threads)
    if keep:
        _drain(loader)
    while took_s < for_s:
        if not keep:
            loader = Loader(source, batch_size, order=order, threads=threads)
        began = time.perf_counter()
        rows += _drain(loader)
        took_s += time.perf_counter() - began
    return rows / took_s


def _drain(loader: Loader) -> int:
    return sum(batch.num_rows for batch in loader)


def _packed(sample: Sample, most_bytes: int, scratch: Path, batch_size: int, for_s: float) -> dict[str, float]:
    """Return rows a second of the sample once it is packed, by order."""
    try:
        folder = ScratchFolder(scratch, prefix=_PREFIX)
    except OSError as error:
        raise StoreError(
            f"cannot write {error.filename or scratch}: {error.strerror or error}; choose another folder "
            "(PENSTOCK_SCRATCH)"
        ) from error
    try:
        store = open_store(str(folder.path / "store"), cache=folder.path / "cache")
        ref = pack(sample.held(most_bytes), store=store, scratch=folder.path / "scratch")
        source = stored_source(ref, store)
        return {order: _rate(source, batch_size, order, None, for_s=for_s, keep=True) for order in _PACKED_ORDERS}
    finally:
        folder.remove()
