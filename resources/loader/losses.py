"""Owns what becomes of shards that are missing or damaged: an error that names the shard, or none of its rows.

A shard that was left out once stays left out for as long as its loader lives, so that what stands in for its rows in
memory, which is nothing, is never taken for them. Who cannot be reached is no damage: that is an error always.
"""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resources.errors import IntegrityError, LoaderError, ObjectMissing
from resources.loader.order import Span
from resources.loader.shards import Shard

OnError = Literal["raise", "skip"]
POLICIES: tuple[OnError, ...] = ("raise", "skip")
_DAMAGE = (ObjectMissing, IntegrityError, LoaderError)
_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Losses:
    """The shards of one dataset that were left out.

    Args:
        on_error: `raise`, or `skip`: leave the rows of damaged shards out, and say so in the log.
    """

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._lost: frozenset[int] = frozenset()
        self._lock = Lock()

    def opened(self, number: int, shard: Shard, open_: Callable[[], T]) -> T | None:
        """Return what `open_` returns, or None if the shard is left out from now on.

        Raises:
            PenstockError: If it is damaged, and the policy is to raise; or if it cannot be reached.
        """
        if number in self._lost:
            return None
        try:
            return open_()
        except _DAMAGE as error:
            if self._on_error == "raise":
                raise _named(shard, error) from None
            with self._lock:
                self._lost |= {number}
            _LOG.warning("%s is left out with its %s rows: %s", shard.name, f"{shard.rows:,}", error)
            return None

    def kept(self, span: Span) -> NDArray[np.bool_] | None:
        """Return which samples of `span` are of shards that were not left out; None where all are."""
        lost = self._lost
        if not any(piece.shard in lost for piece in span.pool.pieces):
            return None
        owners, _ = span.pool.owned(span.pool.places(span.start, span.stop))
        return ~np.array([piece.shard in lost for piece in span.pool.pieces])[owners]


def nothing(rows: int, kind: pa.DataType) -> pa.Array:
    """Return as many nulls, in the place of rows that are left out."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(rows, kind.storage_type))
    return pa.nulls(rows, kind)


def _named(shard: Shard, error: ObjectMissing | IntegrityError | LoaderError) -> Exception:
    text = str(error)
    return error if shard.name in text else type(error)(f"{shard.name}: {text}")
