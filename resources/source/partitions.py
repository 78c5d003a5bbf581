"""Owns a cheap look into a file that holds several partitions: a digest of the rows of each.

Equal rows in equal order give equal digests, whatever lies around them, so a restated file touches only the partitions
that changed. It writes nothing; the digests are not those of snapshots.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from blake3 import blake3
from numpy.typing import NDArray

from quality.contract import Contract
from quality.contract.arrow import array_of, take
from resources.canonical import digest_value
from resources.errors import DeclarationError, SourceError
from resources.source.events import clocked_contract, instant_of, stored_schema
from resources.source.judging import Judge, Judged, Rejects
from resources.source.location import redacted, resolve
from resources.source.parallel import ordered_map, usable_cores
from resources.source.reading import open_reading
from resources.source.spec import EventTime, Source

if TYPE_CHECKING:
    import pyarrow as pa

KeyOf = Callable[[datetime], str]


def partition_digests(
    source: Source,
    contract: Contract,
    event_time: EventTime | None,
    key_of: KeyOf | None,
    *,
    scratch: Path | None = None,
) -> dict[str, str]:
    """Return the digest of the rows of each partition in the file of `source`, rejected ones included.

    Args:
        source: Where the file lies.
        contract: What rows must be.
        event_time: When a row happened.
        key_of: Returns the partition key of an instant in UTC; keys must follow each other as time goes on.
        scratch: Folder for a copy, where the format needs one; None takes it from the settings.

    Raises:
        SourceError: If the file is missing or unreadable.
        ContractError: If its columns are not the contract's.
        DeclarationError: If there is no event time or no partition.
    """
    if event_time is None or key_of is None:
        raise DeclarationError("one file of several partitions needs event_time and partitions: declare both")
    url = resolve(source, scratch=scratch).url
    if "{partition}" in url:
        raise SourceError(f"{redacted(url)} names one file a partition: compare their fingerprints instead")
    judge = Judge(
        contract=clocked_contract(contract, event_time),
        schema=stored_schema(contract, event_time),
        event_time=event_time,
        span=None,
        own_file=False,
    )
    kept: defaultdict[str, blake3] = defaultdict(blake3)
    # Apart from the kept rows: how the two mix depends on where blocks end, and so on rows of other partitions.
    rejected: defaultdict[str, blake3] = defaultdict(blake3)
    with open_reading(source, url, judge.contract, scratch=scratch or _scratch_of_settings()) as reading:
        results = ordered_map(judge.judge, reading.blocks, threads=usable_cores())
        with closing(results) as judged:
            for block in judged:
                for key, text in _kept_by_key(block, key_of):
                    kept[key].update(text)
                for key, text in _rejected_by_key(block.rejects, key_of):
                    rejected[key].update(text)
    return {key: digest_value([kept[key].hexdigest(), rejected[key].hexdigest()]) for key in sorted({*kept, *rejected})}


def _kept_by_key(judged: Judged, key_of: KeyOf) -> Iterator[tuple[str, bytes]]:
    """Return the rows of each partition as text, in the order of the file."""
    for key, rows in _rows_by_key(judged.kept_times, key_of):
        yield key, _csv(take(judged.kept, rows.tolist()))


def _rejected_by_key(rejects: Rejects, key_of: KeyOf) -> Iterator[tuple[str, bytes]]:
    """Return each rejected row as text, for every partition that it may belong to."""
    for row in range(len(rejects)):
        times = {time for time in (rejects.earliest[row], rejects.latest[row]) if time is not None}
        text = _csv(take(rejects.texts, [row]))
        for key in sorted({key_of(instant_of(time)) for time in times}):
            yield key, text


def _rows_by_key(times: NDArray[np.int64], key_of: KeyOf) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Return the rows of each key, in order; `key_of` is asked about few of the times only."""
    distinct = np.unique(times)
    if not len(distinct):
        return

    def key_at(place: int) -> str:
        return key_of(instant_of(int(distinct[place])))

    starts = {0: key_at(0), **_changes(0, len(distinct) - 1, key_at)}
    which = np.searchsorted(distinct[list(starts)], times, side="right") - 1
    for number, key in enumerate(starts.values()):
        yield key, np.flatnonzero(which == number)


def _changes(low: int, high: int, key_at: Callable[[int], str]) -> dict[int, str]:
    """Return each place after `low` up to `high` from which on another key holds, in order."""
    if key_at(low) == key_at(high):
        return {}
    if high - low == 1:
        return {high: key_at(high)}
    middle = (low + high) // 2
    return _changes(low, middle, key_at) | _changes(middle, high, key_at)


def _csv(table: "pa.Table") -> bytes:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    plain = [_plain(column.combine_chunks()) for column in table.columns]
    sink = pa.BufferOutputStream()
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="all_valid")
    arrow_csv.write_csv(pa.Table.from_arrays(plain, names=table.column_names), sink, options)
    return sink.getvalue().to_pybytes()


def _plain(values: "pa.Array") -> "pa.Array":
    """Return clocks as numbers, which need no time zone database to print, and bytes as text."""
    import pyarrow as pa

    if pa.types.is_timestamp(values.type) or pa.types.is_duration(values.type):
        return values.cast(pa.int64())
    if pa.types.is_binary(values.type):
        return array_of(pl.Series(values=values).bin.encode("hex").to_list(), pl.String())
    return values


def _scratch_of_settings() -> Path:
    from resources.settings import load_settings

    return load_settings().scratch
