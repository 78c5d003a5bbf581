"""Owns the values of the adviser: what a dataset is made of, what was measured of it, and what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["parquet", "arrow", "compressed arrow", "packed", "mds", "litdata"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """What is known of one column.

    Attributes:
        name: Of the column.
        share: Of the bytes of a row, from 0 to 1.
        nulls: Rows without a value, of the sample.
        is_number: Whether a matrix could hold it.
        is_sorted: Whether its values rise from one stretch of the dataset to the next.
        dictionary_bytes: Bytes in Parquet more than plain ones would take, because of a dictionary.
    """

    name: str
    share: float
    nulls: int
    is_number: bool
    is_sorted: bool
    dictionary_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a dataset is made of.

    Attributes:
        name: Of the dataset.
        kind: How its shards are written.
        files: How many it has.
        shards: Row groups, record batches or foreign shards.
        rows: Of all shards.
        size_bytes: Of all rows, decoded.
        shard_rows: Rows of a middling shard.
        shard_bytes: Decoded bytes of a middling shard.
        codecs: Of the shards that were looked at.
        columns: Of the dataset.
        window_shards: Shards of one window of the order `window`.
    """

    name: str
    kind: Kind
    files: int
    shards: int
    rows: int
    size_bytes: int
    shard_rows: int
    shard_bytes: int
    codecs: Sequence[str]
    columns: Sequence[ColumnFacts]
    window_shards: int

    @property
    def is_decoded(self) -> bool:
        """Whether a shard is decoded when it is opened; others are mapped."""
        return self.kind not in ("arrow", "packed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured there and then.

    Attributes:
        batch_size: Rows of a batch.
        sample_rows: Rows of the sample.
        sample_bytes: Their bytes, decoded.
        memcpy_bytes_per_s: Of memory to memory.
        cold_bytes_per_s: Of reading files that are not in memory; None where the system cannot be asked to forget.
        file_bytes: Of the sample on disk.
        open_s: To open one file and read its footer.
        decode_s: To open all shards of the sample.
        orders: Rows a second of the sample by order.
        threads: Rows a second of `window` by threads.
        packed: Rows a second of the packed sample by order; empty if it is packed.
        spread: How much the batches of an order differ, by order: 1 is what true random batches do; of sorted data.
    """

    batch_size: int
    sample_rows: int
    sample_bytes: int
    memcpy_bytes_per_s: float
    cold_bytes_per_s: float | None
    file_bytes: int
    open_s: float
    decode_s: float
    orders: Mapping[str, float]
    threads: Mapping[int, float]
    packed: Mapping[str, float]
    spread: Mapping[str, float]

    def bytes_per_s(self, rows_per_s: float) -> float:
        """Return the bytes of so many rows a second."""
        return rows_per_s * self.sample_bytes / max(self.sample_rows, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One line.

    Attributes:
        what: It is about.
        found: What was found.
        advice: What to change, or what limits it.
        gain: How many times faster, measured; None where speed is not what is gained.
    """

    what: str
    found: str
    advice: str
    gain: float | None = None
