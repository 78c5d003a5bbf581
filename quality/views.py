"""Owns the view of texts: Arrow holds one of up to twelve bytes whole in sixteen, where equal texts are equal words."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

INLINE = 12
"""Bytes of a text that lies whole in its view, behind its length."""
Words = NDArray[np.uint64]


def views_of(texts: pl.Series) -> Words:
    """Return the views of texts that lie in one piece, two words each: shape ``(rows, 2)``."""
    array = texts.to_arrow(compat_level=pl.CompatLevel.newest())
    return np.frombuffer(array.buffers()[1] or b"", np.uint64)[2 * array.offset :][: 2 * len(array)].reshape(-1, 2)


def of_views(views: Words) -> pl.Series:
    """Return the texts that lie whole in their views."""
    import pyarrow as pa

    return pl.Series(pa.Array.from_buffers(pa.string_view(), len(views), [None, pa.py_buffer(views)]))


def has_long(texts: pl.Series) -> bool:
    """Return whether texts of more than twelve bytes lie with these, of which they may be some."""
    parts = (part.to_arrow(compat_level=pl.CompatLevel.newest()) for part in texts.get_chunks())
    return any(len(part.buffers()) > 2 for part in parts)  # validity, views, and pieces of longer texts
