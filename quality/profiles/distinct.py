"""Owns the estimate of how many distinct values there are: stable hashes, and HyperLogLog registers of them.

Hashes are our own, since those of Polars differ between versions and processes must agree on stored registers.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from quality.profiles.counted import CHUNK, Ints, Numbers

if TYPE_CHECKING:
    import polars as pl

Hashes = NDArray[np.uint64]
Registers = NDArray[np.uint8]

PRECISION = 11
"""Hash bits that choose a register: 2,048 of them."""
RELATIVE_ERROR = 1.04 / (1 << PRECISION) ** 0.5
"""Relative standard error of an estimate, 2.3 % (Flajolet, Fusy, Gandouet and Meunier, 2007)."""
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
CUT = re.compile(r"… [0-9a-f]{16}$")
"""How a listed text ends that was cut: in its hash."""
_RANK_BITS = 64 - PRECISION
_REST = np.uint64((1 << _RANK_BITS) - 1)
_WORDS = 16
"""Eight-byte words of a text that are hashed side by side with those of other texts; longer ones go one by one."""
_TAIL = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
"""What of a word belongs to a text of which this many bytes are left."""


def hash_numbers(values: Numbers) -> Hashes:
    """Return a stable hash of each number: of the bits of a double, or of a whole number as 64 bits."""
    wide = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64
    hashes = np.empty(len(values), np.uint64)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK] + values.dtype.type(0)  # -0.0 is 0.0
        _mix(chunk.astype(wide, copy=False).view(np.uint64), hashes[start : start + CHUNK])
    return hashes


def hash_texts(texts: "pl.Series") -> Hashes:
    """Return a stable hash of each text; there are no nulls among them."""
    array = texts.rechunk().to_arrow()
    buffers = array.buffers()
    ends = np.frombuffer(buffers[1], np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(buffers[2] or b"", np.uint8)[: ends[-1]]
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), CHUNK):
        part = ends[start : start + CHUNK + 1]
        _hash_part(content[part[0] : part[-1]], part - part[0], hashes[start : start + CHUNK])
    return hashes


def _hash_part(content: NDArray[np.uint8], ends: Ints, hashes: Hashes) -> None:
    """Write the hashes of some texts, which lie one after the other."""
    starts, lengths = ends[:-1], np.diff(ends)
    least, most = int(lengths.min()), int(lengths.max())
    _mix(lengths.view(np.uint64), hashes)
    width = 8 * min(_WORDS, -(-most // 8))
    # One gather of all words of a text costs no more than that of one word.
    padded = np.concatenate([content, np.zeros(width + 1, np.uint8)])
    texts = np.ndarray((len(content) + 1,), f"V{width or 1}", padded, strides=(1,))[starts]
    for step in range(width // 8):
        words = texts.view("<u8")[step :: width // 8]
        if 8 * (step + 1) <= least:
            _mix(hashes ^ words, hashes)
            continue
        longer = slice(None) if 8 * step < least else np.flatnonzero(lengths > 8 * step)
        mixed = words[longer] & _TAIL[np.minimum(lengths[longer] - 8 * step, 8)]
        mixed ^= hashes[longer]
        hashes[longer] = _mix(mixed, mixed)
    for row in np.flatnonzero(lengths > 8 * _WORDS) if most > 8 * _WORDS else ():
        digest = blake3(content[starts[row] : starts[row] + lengths[row]].data).digest()
        hashes[row] = int.from_bytes(digest[:8], "little")


def hash_listed(values: Sequence[str], *, texts: bool) -> Hashes:
    """Return the hashes of values that a list of frequent ones holds as text."""
    import polars as pl

    if texts:
        hashes = hash_texts(pl.Series(values, dtype=pl.String))
        cut = [place for place, value in enumerate(values) if CUT.search(value)]
        hashes[cut] = np.array([int(values[place][-16:], 16) for place in cut], np.uint64)
        return hashes
    whole = all(value.lstrip("-").isdigit() for value in values)
    return hash_numbers(np.array([int(value) if whole else float(value) for value in values]))


def registers(hashes: Hashes) -> Registers:
    """Return the registers of hashed values, shape ``(2048,)``: the longest run of leading zeros in each, plus one."""
    found = np.zeros(1 << PRECISION, np.uint8)
    limits = np.full(1 << PRECISION, _REST + np.uint64(1))  # a register is raised by what is below its limit
    for start in range(0, len(hashes), CHUNK):
        chunk = hashes[start : start + CHUNK]
        places, rest = (chunk >> np.uint64(_RANK_BITS)).view(np.int64), chunk & _REST
        raised = np.flatnonzero(rest < limits[places])
        if len(raised):
            bits = np.frexp(rest[raised].astype(np.float64))[1]  # 53 bits: exact
            np.maximum.at(found, places[raised], (_RANK_BITS + 1 - bits).astype(np.uint8))
            limits = np.uint64(1) << (_RANK_BITS - np.minimum(found, _RANK_BITS)).astype(np.uint64)
            limits[found > _RANK_BITS] = 0
    return found


def merge_registers(parts: Iterable[Registers]) -> Registers:
    """Return the registers of all values that `parts` saw."""
    return np.maximum.reduce(list(parts))


def estimate(found: Registers) -> int:
    """Return about how many distinct values the registers saw.

    Ertl's (2017) improved raw estimator, which needs no table of biases: a few values are counted almost exactly.
    """
    size = len(found)
    counts = np.bincount(found, minlength=_RANK_BITS + 2).tolist()
    total = size * _tau(1 - counts[_RANK_BITS + 1] / size)
    for rank in range(_RANK_BITS, 0, -1):
        total = (total + counts[rank]) / 2
    total += size * _sigma(counts[0] / size)
    return 0 if total == float("inf") else round(size * size / (2 * np.log(2)) / total)


def encode(found: Registers) -> str:
    """Return the registers as text, one character each."""
    return "".join(_DIGITS[rank] for rank in found.tolist())


def decode(text: str) -> Registers:
    """Return the registers that `encode` wrote."""
    return np.array([_DIGITS.index(digit) for digit in text], np.uint8)


def _mix(words: Hashes, out: Hashes) -> Hashes:
    """Write the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) of each word to `out`, and return that."""
    np.add(words, np.uint64(0x9E3779B97F4A7C15), out=out)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        out ^= out >> np.uint64(shift)
        if factor > 1:
            out *= np.uint64(factor)
    return out


def _sigma(share: float) -> float:
    if share == 1:
        return float("inf")
    weight, total, before = 1.0, share, -1.0
    while total != before:
        share, before = share * share, total
        total, weight = total + share * weight, 2 * weight
    return total


def _tau(share: float) -> float:
    if share in (0, 1):
        return 0.0
    weight, total, before = 1.0, 1 - share, -1.0
    while total != before:
        share, before, weight = share**0.5, total, weight / 2
        total -= (1 - share) ** 2 * weight
    return total / 3
