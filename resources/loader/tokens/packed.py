"""Owns rows of packed documents: a feed over a feed of documents, by a plan for each epoch.

Documents are packed within groups, each a stretch of the order of the feed below: whoever needs a row reads the
documents of its group alone, and rows are as mixed as the documents are. A plan is how many rows each group gives,
eight bytes for it; which document goes where is computed again when the group is read.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.canonical import digest_value
from resources.errors import LoaderError
from resources.loader.bijection import Bijection
from resources.loader.columns import fixed
from resources.loader.feed import Documents, Ranges, name_of_row
from resources.loader.order import words_of
from resources.loader.slabs import Slab
from resources.loader.tokens.best_fit import best_fit, bins_needed
from resources.loader.tokens.lengths import lengths_of
from resources.loader.tokens.packing import TokenPacking, check_token
from resources.loader.tokens.rows import Pieces, TokenRows, documents_of, with_ends

GROUP_BYTES = 4 * 2**20
"""Bytes of the tokens of a group, about. Like the two numbers below it is part of the order, which never changes."""
_LEAST_DOCUMENTS, _MOST_DOCUMENTS = 16, 2**16
_PLANNED_AT_ONCE = 2**18
_KEPT_GROUPS = 2


class PackedTokens:
    """The documents of `feed`, packed.

    Args:
        feed: Of the column of documents alone.
        packing: How.
        seed: Of the order of the rows within a group.

    Raises:
        LoaderError: If the column is none of documents, or one is too long.
    """

    def __init__(self, feed: Documents, packing: TokenPacking, seed: int) -> None:
        field = feed.schema.field(0)
        self._element = _element(field, packing)
        self._feed, self._packing = feed, packing
        self._lengths = lengths_of(feed.passing, field, feed.at_once)
        self._check_lengths()
        self._end = int(packing.end_token is not None)
        self._documents = _group_documents(self._lengths, self._element.itemsize)
        self.name, self.shards, self.waits = feed.name, feed.shards, feed.waits
        self.root = digest_value(
            {"root": feed.root, "packing": [packing.column, packing.length, packing.end_token, packing.split_longer]}
        )
        self._key = (*words_of(self.root), seed)
        self.schema = _schema(field.type.value_type, packing.length)
        self.layouts = tuple(fixed(one.type) for one in self.schema)
        self.row_bytes = float(sum(layout.row_bytes for layout in self.layouts if layout is not None))
        self._starts = lru_cache(maxsize=2)(self._planned)
        self._groups: OrderedDict[tuple[int, int], TokenRows] = OrderedDict()
        self._lock = Lock()
        longest = int(self._lengths.max(initial=0)) + self._end
        self.rows = -(-longest // packing.length) * feed.rows

    def rows_of(self, epoch: int) -> int:
        """Return how many rows the documents of an epoch are packed into."""
        return int(self._starts(epoch)[-1])

    def places(self, epoch: int, start: int, stop: int) -> NDArray[np.int64]:
        """Refuse: a row is of several documents."""
        raise LoaderError("packed rows are of several documents each: load the documents to learn where they lie")

    def fill(self, epoch: int, ranges: Ranges, slab: Slab, *, apart: bool) -> None:
        """Copy rows to `slab`.

        Raises:
            LoaderError: If a shard is not what it was said to be.
        """
        at = 0
        for first, last in ranges:
            for number, start, stop in _split(self._starts(epoch), first, last):
                self._group(epoch, number).copy(start, stop, slab, at, self._packing.pad_token)
                at += stop - start

    def _planned(self, epoch: int) -> NDArray[np.int64]:
        """Return the first row of each group, and the number of all rows, shape ``(groups + 1,)``."""
        counts: list[int] = []
        step = max(_PLANNED_AT_ONCE // self._documents, 1) * self._documents
        total = self._feed.rows_of(epoch)
        for first in range(0, total, step):
            lengths = self._lengths[self._feed.places(epoch, first, min(first + step, total))]
            for start in range(0, len(lengths), self._documents):
                pieces = self._pieces(lengths[start : start + self._documents])
                counts.append(bins_needed(pieces.lengths, self._packing.length))
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def _pieces(self, lengths: NDArray[np.int32]) -> Pieces:
        return Pieces.of(lengths.astype(np.int64) + self._end, self._packing.length)

    def _group(self, epoch: int, number: int) -> TokenRows:
        """Return a group, read unless it is one of the latest."""
        with self._lock:
            found = self._groups.get((epoch, number))
            if found is None:
                found = self._groups[epoch, number] = self._read(epoch, number)
            self._groups.move_to_end((epoch, number))
            while len(self._groups) > _KEPT_GROUPS:
                self._groups.popitem(last=False)
            return found

    def _read(self, epoch: int, number: int) -> TokenRows:
        first = number * self._documents
        last = min(first + self._documents, self._feed.rows_of(epoch))
        slab = Slab(self._feed.layouts, last - first)
        self._feed.fill(epoch, [(first, last)], slab, apart=False)
        try:
            values, lengths = documents_of(slab)
        except LoaderError as error:
            raise LoaderError(f"column {self._packing.column!r} of {self.name}: {error}") from None
        pieces = self._pieces(lengths)
        if self._packing.end_token is not None:
            values = with_ends(values, lengths, self._packing.end_token)
        bins = best_fit(pieces.lengths, self._packing.length)
        count = int(bins.max(initial=-1)) + 1
        if count != (planned := int(np.diff(self._starts(epoch))[number])):
            raise LoaderError(f"{self.name} gave {planned:,} rows when it was planned, now {count:,}: load it again")
        rows = Bijection(count, (*self._key, epoch, number))(0, count).astype(np.int64)[bins]
        return TokenRows.of(values, pieces, rows, count)

    def _check_lengths(self) -> None:
        packing = self._packing
        longest = packing.length - int(packing.end_token is not None)
        if not packing.split_longer and len(self._lengths) and int(self._lengths.max()) > longest:
            row = int(self._lengths.argmax())
            raise LoaderError(
                f"{name_of_row(self._feed.shards, row)} has {int(self._lengths[row]):,} tokens in column "
                f"{packing.column!r}, {longest:,} fit a row: choose a larger length, or split_longer=True"
            )


def _split(starts: NDArray[np.int64], first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Yield the groups that the rows from `first` to before `last` are of, each with those rows counted within it."""
    begin, end = np.searchsorted(starts, [first, last - 1], side="right").tolist()
    for number in range(begin - 1, end):
        start, stop = max(first, int(starts[number])), min(last, int(starts[number + 1]))
        if start < stop:  # a group of empty documents has no rows
            yield number, start - int(starts[number]), stop - int(starts[number])


def _element(field: pa.Field, packing: TokenPacking) -> np.dtype[Any]:  # Any: of integers
    kind = field.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    layout = fixed(kind.value_type) if lists and pa.types.is_integer(kind.value_type) else None
    if layout is None or field.name != packing.column:
        raise LoaderError(
            f"column {packing.column!r} is of type {kind}: lists of integers are packed; choose a column of documents"
        )
    check_token("pad_token", packing.pad_token, layout.dtype)
    if packing.end_token is not None:
        check_token("end_token", packing.end_token, layout.dtype)
    return layout.dtype


def _group_documents(lengths: NDArray[np.int32], token_bytes: int) -> int:
    """Return how many documents a group has: a power of two."""
    mean_bytes = max(float(lengths.mean(dtype=np.float64)) if len(lengths) else 1.0, 1.0) * token_bytes
    fitting = min(max(int(GROUP_BYTES / mean_bytes), _LEAST_DOCUMENTS), _MOST_DOCUMENTS)
    return 1 << (fitting.bit_length() - 1)


def _schema(token: pa.DataType, length: int) -> pa.Schema:
    def row(kind: pa.DataType) -> pa.DataType:
        return pa.list_(pa.field("item", kind, nullable=False), length)

    return pa.schema(
        [
            pa.field("tokens", row(token), nullable=False),
            pa.field("segments", row(pa.int32()), nullable=False),
            pa.field("positions", row(pa.int32()), nullable=False),
            pa.field("padding", pa.int32(), nullable=False),
        ]
    )
