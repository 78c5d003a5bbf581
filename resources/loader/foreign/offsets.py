"""Owns the head that shards of MDS and chunks of LitData share: a count, and where each sample lies."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.loader.foreign.cells import Cells, damaged, rows

WORD = 4
"""Bytes of a number of the head: unsigned, little-endian."""


def samples(data: pa.Buffer, count: int, name: str, *, end: int | None = None) -> Cells:
    """Return where the samples of a file lie.

    Args:
        data: Its bytes.
        count: How many samples the index says.
        name: Of the file, for people.
        end: Where the last one ends; None means at the end of the file.

    Raises:
        LoaderError: If the head is no such head, has another count, or points outside the file.
    """
    head = WORD * (count + 2)
    if data.size < head:
        raise damaged(name, f"it has {data.size:,} bytes, the head of {count:,} samples alone has {head:,}")
    words = np.frombuffer(data, "<u4", count + 2)
    if int(words[0]) != count:
        raise damaged(name, f"it holds {int(words[0]):,} samples, the index says {count:,}")
    return between(data, words[1:], head, data.size if end is None else end, name)


def between(data: pa.Buffer, bounds: NDArray[np.uint32], least: int, end: int, name: str) -> Cells:
    """Return the samples between `bounds`, which go from at least `least` up to `end`.

    Raises:
        LoaderError: If they do not.
    """
    starts = bounds.astype(np.int64)
    lengths = np.diff(starts)
    if len(lengths) and (int(starts[0]) < least or int(starts[-1]) != end or int(lengths.min()) < 0):
        raise damaged(
            name,
            f"its samples lie from byte {int(starts[0]):,} to {int(starts[-1]):,}, {least:,} to {end:,} hold them",
        )
    return Cells(data=data, starts=starts[:-1], lengths=lengths, name=name)


def words_at(cells: Cells, count: int, order: str = "<") -> NDArray[np.int64]:
    """Return the first `count` numbers of each value, shape ``(rows, count)``.

    Raises:
        LoaderError: If one is too short.
    """
    head = cells.part(0, WORD * count)
    if not count:
        return np.empty((len(cells.starts), 0), np.int64)
    return rows(head, WORD * count).view(f"{order}u4").astype(np.int64)


def columns_of(whole: Cells, widths: NDArray[np.int64], head: int, names: list[str]) -> list[Cells]:
    """Return the cells of the columns of samples that hold one value after the other behind a head.

    Args:
        whole: The samples.
        widths: Bytes of each value, shape ``(rows, columns)``.
        head: Bytes before the first value.
        names: Of the columns.

    Raises:
        LoaderError: If the values do not fill the samples.
    """
    bounds = np.full((len(widths), widths.shape[1] + 1), head, np.int64)
    np.cumsum(widths, axis=1, out=bounds[:, 1:])
    bounds[:, 1:] += head
    wrong = np.flatnonzero(bounds[:, -1] != whole.lengths)
    if len(wrong):
        row = int(wrong[0])
        raise damaged(
            whole.name, f"sample {row:,} has {whole.lengths[row]:,} bytes, its columns have {bounds[row, -1]:,}"
        )
    return [
        Cells(
            data=whole.data,
            starts=whole.starts + bounds[:, number],
            lengths=widths[:, number],
            name=f"column {name!r} of {whole.name}",
        )
        for number, name in enumerate(names)
    ]
