"""Owns how documents of tokens are packed into rows of one length, as a value, and what a packed row is read by.

Each row holds whole documents, or pieces of those that are longer than a row, one after the other, and padding at its
end. How they are chosen is decided elsewhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import LoaderError

LONGEST = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPacking:
    """How documents become rows.

    Attributes:
        column: Of the documents: lists of integers.
        length: Tokens of a row, padding included.
        end_token: Put behind every document, or None; it counts as one of its tokens.
        pad_token: Fills what is left of a row.
        split_longer: Whether a document of more than `length` tokens is cut into pieces of that length, the last one
            shorter. Otherwise it is an error that names it.

    Raises:
        LoaderError: If the length is out of range.
    """

    column: str
    length: int
    end_token: int | None = None
    pad_token: int = 0
    split_longer: bool = True

    def __post_init__(self) -> None:
        if type(self.length) is not int or not 1 <= self.length <= LONGEST:
            raise LoaderError(f"length of packed tokens is {self.length!r}: give an integer from 1 to {LONGEST:,}")


def cumulative_lengths(segments: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return where each segment of a batch begins when its rows lie end to end, and where the last ends.

    It is what attention over sequences of various lengths takes (`cu_seqlens`); the padding of a row counts as a
    segment.

    Args:
        segments: Column `segments` of a batch, shape ``(rows, length)``.

    Returns:
        Shape ``(segments + 1,)``, from 0 to ``rows * length``.

    >>> cumulative_lengths(np.array([[1, 1, 2, 0], [1, 1, 1, 1]], np.int32)).tolist()
    [0, 2, 3, 4, 8]
    """
    begins = np.ones(segments.shape, np.bool_)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return np.append(np.flatnonzero(begins), segments.size).astype(np.int32)


def check_token(name: str, value: object, element: np.dtype[Any]) -> None:  # Any: of integers
    """Refuse a token that the type `element` cannot hold.

    Raises:
        LoaderError: Naming it.
    """
    bounds = np.iinfo(element)
    if type(value) is not int or not bounds.min <= value <= bounds.max:
        raise LoaderError(f"{name} is {value!r}: give an integer that {element} holds, as the documents are of it")
