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
