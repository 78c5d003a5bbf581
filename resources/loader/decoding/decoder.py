"""Owns what a column is decoded by: a function from the bytes of one value to an array of a declared shape and type.

Which rows it is called for, and by which thread or process, is decided elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resources.errors import LoaderError

Broken = Literal["raise", "null", "zeros"]
BROKEN: tuple[Broken, ...] = ("raise", "null", "zeros")
Decode = Callable[[memoryview], object]
"""Returns an array, which is checked: it is a function of users."""
_KINDS = "iuf"
_MOST_ROW_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """How the values of one column are decoded.

    Attributes:
        function: Returns the array of one value. The bytes are borrowed: they may change once it has returned. It tells
            a value that it cannot decode by `ValueError` or `OSError`; whatever else it raises is a fault of its own.
        shape: Of each array, at least one dimension.
        dtype: Of its elements: integers or floats, such as `uint8`.
        pure_python: Whether it holds the interpreter's lock while it works, so that threads gain nothing: it runs in
            processes then, and must be importable there.
        broken: What becomes of a value that cannot be decoded: `raise` an error that names it, `null`, or `zeros`.
            Rows of the latter two are counted in `LoaderStats.broken_rows`. Nulls stay nulls, but for `zeros`.

    Raises:
        LoaderError: If a shape or type has no place in a batch, naming it.
    """

    function: Decode
    shape: tuple[int, ...]
    dtype: str
    pure_python: bool = False
    broken: Broken = "raise"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise LoaderError(f"function of a decoder is {self.function!r}: give a function from bytes to an array")
        if not self.shape or any(type(size) is not int or size < 1 for size in self.shape):
            raise LoaderError(f"shape of a decoder is {self.shape!r}: give a tuple of at least one integer above 0")
        if self.broken not in BROKEN:
            raise LoaderError(f"broken of a decoder is {self.broken!r}: choose one of {', '.join(BROKEN)}")
        if self.row_bytes > _MOST_ROW_BYTES:
            raise LoaderError(f"an array of {self.shape} has {self.row_bytes:,} bytes: at most 1 GiB a row is decoded")
        if self.pure_python:
            _check_importable(self.function)

    @property
    def element(self) -> np.dtype[Any]:  # Any: whatever was declared
        """Type of an element.

        Raises:
            LoaderError: If `dtype` names none that a tensor may have.
        """
        try:
            found = None if self.dtype is None else np.dtype(self.dtype)  # pyright: ignore[reportUnnecessaryComparison]
        except TypeError:
            found = None
        if found is None or found.kind not in _KINDS or not found.isnative or found.itemsize > 8:
            raise LoaderError(f"dtype of a decoder is {self.dtype!r}: name one of integers or floats, such as 'uint8'")
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one array."""
        return self.element.itemsize * int(np.prod(self.shape, dtype=np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of some values.

    Attributes:
        broken: Place to reason, of those that cannot be decoded.
        fault: Place and reason where the function failed by itself; no later value was tried.
    """

    broken: dict[int, str]
    fault: tuple[int, str] | None = None


def decode_into(decoder: Decoder, values: Sequence[memoryview], out: NDArray[Any]) -> Outcome:  # Any: of its type
    """Decode values to `out`, shape ``(len(values), *decoder.shape)``; what is broken becomes zeros."""
    broken: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            array = decoder.function(value)
        except (ValueError, OSError) as error:
            broken[place] = f"{type(error).__name__}: {error}"
            out[place] = 0
            continue
        except Exception as error:  # whatever the function of a user raises: told, with its place
            return Outcome(broken=broken, fault=(place, _told(error)))
        if not isinstance(array, np.ndarray) or array.shape != decoder.shape or array.dtype != decoder.element:
            return Outcome(broken=broken, fault=(place, _other(array, decoder)))
        out[place] = array
    return Outcome(broken=broken)


def _told(error: Exception) -> str:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "" if last is None else f" ({last.tb_frame.f_code.co_filename}, line {last.tb_lineno})"
    return f"the decoder failed with {type(error).__name__}: {error}{where}"


def _other(found: object, decoder: Decoder) -> str:
    what = f"shape {found.shape} and type {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
    return f"the decoder returned {what}, it declares shape {decoder.shape} and type {decoder.element}"


def _check_importable(function: Decode) -> None:
    from multiprocessing.reduction import ForkingPickler

    try:
        ForkingPickler.dumps(function)
    except Exception as error:  # pickle raises whatever the object does
        raise LoaderError(
            f"a decoder in pure Python runs in processes, which cannot import {function!r} ({error}): define the "
            "function at the top of a module"
        ) from None
