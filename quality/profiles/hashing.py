"""Owns the hash of values: MurmurHash3 of 32 bits (Appleby, 2011) of a number's eight bytes or a text's UTF-8.

It is the hash of Iceberg's bucket partitions, which is fixed for all time: what is stored of it can be merged with that
of other machines and versions. Polars has it for that purpose; where it has not, numpy does the same, slower.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.profiles.counted import Ints, Numbers, words_of

BITS = 32
Hashes = NDArray[np.uint32]
_Words = NDArray[np.uint32]
_FIRST, _SECOND = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)


def hash_numbers(values: Numbers, *, zeros: bool = True) -> Hashes:
    """Return the hash of each number: of the bits of a double, or of a whole number of 64 bits.

    Args:
        values: The numbers.
        zeros: Whether there may be zeros among them, of which those with a sign are the same as those without.
    """
    words = words_of(values) if zeros or values.dtype != np.float64 else values.view(np.int64)
    return _hashed(pl.Series(words), murmur_numbers)


def hash_texts(texts: pl.Series) -> Hashes:
    """Return the hash of each text; there are no nulls among them."""
    return _hashed(texts, murmur_texts)


def _hashed(values: pl.Series, otherwise: Callable[[pl.Series], Hashes]) -> Hashes:
    if not _polars_has_it():
        return otherwise(values)
    expression = pl.col(values.name)._mm3_hash()  # pyright: ignore[reportPrivateUsage]
    return values.to_frame().select(expression).to_series().to_numpy().view(np.uint32)


@cache
def _polars_has_it() -> bool:
    try:
        found = pl.DataFrame({"": ["iceberg"]}).select(pl.col("")._mm3_hash()).item()  # pyright: ignore
    except (AttributeError, pl.exceptions.PolarsError):
        return False
    return found == 1_210_000_089  # of Iceberg's own table of examples


def murmur_numbers(values: pl.Series) -> Hashes:
    """Return the hash of each number of 64 bits."""
    words = values.to_numpy().astype("<i8").view("<u4").reshape(-1, 2)
    hashes = np.zeros(len(values), np.uint32)
    for word in words.T:
        hashes = _turned(hashes ^ _mixed(word))
    return _finished(hashes, np.full(len(values), 8))


def murmur_texts(texts: pl.Series) -> Hashes:
    """Return the hash of each text. Texts are done side by side, so one very long one costs as much as many."""
    lengths = texts.str.len_bytes().to_numpy().astype(np.int64)
    content = np.frombuffer(b"".join(text.encode() for text in texts.to_list()) + bytes(4), np.uint8)
    starts, hashes = np.cumsum(lengths) - lengths, np.zeros(len(texts), np.uint32)
    rows = np.arange(len(texts))
    for place in range(0, int(lengths.max(initial=0)), 4):
        rows = rows[lengths[rows] > place]
        left = np.minimum(lengths[rows] - place, 4)
        quads = content[(starts[rows] + place)[:, None] + np.arange(4)]
        quads[np.arange(4) >= left[:, None]] = 0
        mixed = hashes[rows] ^ _mixed(quads.view("<u4").ravel())
        hashes[rows] = np.where(left == 4, _turned(mixed), mixed)
    return _finished(hashes, lengths)


def _mixed(words: _Words) -> _Words:
    words = words * _FIRST
    return ((words << np.uint32(15)) | (words >> np.uint32(17))) * _SECOND


def _turned(hashes: Hashes) -> Hashes:
    return ((hashes << np.uint32(13)) | (hashes >> np.uint32(19))) * np.uint32(5) + np.uint32(0xE6546B64)


def _finished(hashes: Hashes, lengths: Ints) -> Hashes:
    hashes = hashes ^ lengths.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashes = (hashes ^ (hashes >> np.uint32(shift))) * np.uint32(factor)
    return hashes ^ (hashes >> np.uint32(16))
