"""Owns single Arrow values made of Python's; unlike `pa.scalar`, none of it imports pandas."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa


def scalar_of(value: Any, kind: pa.DataType) -> pa.Scalar:  # Any: what a caller gave
    """Return `value` as one of the type `kind`, never rounded; times may be texts such as `2026-01-31T12:00:00`.

    Raises:
        TypeError: If it is of no type that is known here, or a boolean where none is wanted, or the other way round.
        ArrowException: If it has no place in the type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if pa.types.is_boolean(kind) != isinstance(value, bool):
        raise TypeError("a boolean is compared with something else")
    if isinstance(value, date | time):
        value = value.isoformat()
    made = _of_bytes(value) if isinstance(value, str | bytes | Decimal) else _of_number(value)
    return (made if made.type == kind else made.cast(kind))[0]


def _of_bytes(value: str | bytes | Decimal) -> pa.Array:
    data = value if isinstance(value, bytes) else str(value).encode()
    offsets = np.array([0, len(data)], np.int32)
    kind = pa.binary() if isinstance(value, bytes) else pa.string()
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _of_number(value: bool | int | float) -> pa.Array:
    kinds = {bool: (pa.bool_(), np.uint8), int: (pa.int64(), np.int64), float: (pa.float64(), np.float64)}
    if type(value) not in kinds:
        raise TypeError(f"a value of type {type(value).__name__}")
    kind, dtype = kinds[type(value)]
    if isinstance(value, int) and value >= 2**63:
        kind, dtype = pa.uint64(), np.uint64
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(np.array([value], dtype))])


def comparable(scalar: pa.Scalar) -> Any:  # Any: a value that has an order among those of its type
    """Return what orders `scalar` among others of its type: of a time, the number that Arrow holds."""
    return scalar.value if pa.types.is_temporal(scalar.type) else scalar.as_py()
