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
_UNFINISHED = np.uint64(1 << 33)
"""Below this, the last step of a hash decides."""
_WORDS = 16
"""Eight-byte words of a text that are hashed side by side with those of other texts; longer ones go one by one."""
_LENGTH, _HALF = np.uint64(2**32 - 1), np.uint64(32)
_INLINE = 12
"""Bytes of a text that Arrow holds in its view, behind the length."""
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
    from polars import CompatLevel

    texts = texts.rechunk()
    array = texts.to_arrow(compat_level=CompatLevel.newest())
    views = np.frombuffer(array.buffers()[1] or b"", np.uint64)[2 * array.offset :][: 2 * len(texts)].reshape(-1, 2)
    hashes = np.empty(len(texts), np.uint64)
    if not len(texts) or int((views[:, 0] & _LENGTH).max()) > _INLINE:
        return _hash_long(texts, hashes)
    for start in range(0, len(texts), CHUNK):
        first, second = views[start : start + CHUNK].T
        lengths = (first & _LENGTH).view(np.int64)
        words = [(first >> _HALF) | (second << _HALF), second >> _HALF]
        _hash_words(words, lengths, hashes[start : start + CHUNK])
    return hashes


def _hash_long(texts: "pl.Series", hashes: Hashes) -> Hashes:
    array = texts.to_arrow()
    buffers = array.buffers()
    ends = np.frombuffer(buffers[1], np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(buffers[2] or b"", np.uint8)[: ends[-1]]
    for start in range(0, len(texts), CHUNK):
        part = ends[start : start + CHUNK + 1]
        _hash_part(content[part[0] : part[-1]], part - part[0], hashes[start : start + CHUNK])
    return hashes


def _hash_part(content: NDArray[np.uint8], ends: Ints, hashes: Hashes) -> None:
    """Write the hashes of some texts, which lie one after the other."""
    starts, lengths = ends[:-1], np.diff(ends)
    most = int(lengths.max())
    width = 8 * min(_WORDS, -(-most // 8))
    # One gather of all words of a text costs no more than that of one word.
    padded = np.concatenate([content, np.zeros(width + 1, np.uint8)])
    texts = np.ndarray((len(content) + 1,), f"V{width or 1}", padded, strides=(1,))[starts]
    words = [texts.view("<u8")[step :: width // 8] for step in range(width // 8)]
    _hash_words(words, lengths, hashes)
    for row in np.flatnonzero(lengths > 8 * _WORDS) if most > 8 * _WORDS else ():
        digest = blake3(content[starts[row] : starts[row] + lengths[row]].data).digest()
        hashes[row] = int.from_bytes(digest[:8], "little")


def _hash_words(words: Sequence[Hashes], lengths: Ints, hashes: Hashes) -> None:
    """Write the hashes of texts of these lengths in bytes from their words, which may hold more than the texts."""
    least, mixed = int(lengths.min(initial=0)), np.empty_like(hashes)
    _mix(lengths.view(np.uint64), hashes)
    for place, word in enumerate(words):
        left = lengths - 8 * place
        if least >= 8 * (place + 1):
            _mix(np.bitwise_xor(hashes, word, out=mixed), hashes)
            continue
        np.bitwise_and(word, _TAIL.take(left, mode="clip"), out=mixed)
        mixed ^= hashes
        longer = left > 0
        if least > 8 * place:
            _mix(mixed, hashes)
        elif longer.any():
            np.copyto(hashes, _mix(mixed, mixed), where=longer)


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


class HyperLogLog:
    """Registers that more and more values raise.

    Attributes:
        registers: The longest run of leading zeros in each, plus one; shape ``(2048,)``.
    """

    def __init__(self) -> None:
        """Start without values."""
        self.registers: Registers = np.zeros(1 << PRECISION, np.uint8)
        self._limits = np.full(1 << PRECISION, _REST + np.uint64(1))
        """A register is raised by what is below its limit."""

    def add(self, hashes: Hashes) -> None:
        """Take hashed values."""
        for start in range(0, len(hashes), CHUNK):
            self._raise(hashes[start : start + CHUNK])

    def add_numbers(self, values: Numbers) -> None:
        """Take numbers, as `hash_numbers` hashes them; only hashes that may raise a register are finished."""
        whole = np.issubdtype(values.dtype, np.integer)
        held = np.empty((2, min(len(values), CHUNK)), np.int64 if whole else np.float64)
        for start in range(0, len(values), CHUNK):
            chunk = values[start : start + CHUNK]
            words = np.add(chunk, 0 if whole else 0.0, out=held[0, : len(chunk)], casting="unsafe").view(np.uint64)
            spare = held[1, : len(chunk)].view(np.uint64)
            _premix(words, words, spare)
            most = self._limits.max()
            if most > _UNFINISHED:
                words = words[np.flatnonzero(np.bitwise_and(words, _REST, out=spare) < most)]
            self._raise(_finish(words))

    def _raise(self, hashes: Hashes) -> None:
        places, rest = (hashes >> np.uint64(_RANK_BITS)).view(np.int64), hashes & _REST
        raised = np.flatnonzero(rest < self._limits[places])
        if len(raised):
            bits = np.frexp(rest[raised].astype(np.float64))[1]  # 53 bits: exact
            np.maximum.at(self.registers, places[raised], (_RANK_BITS + 1 - bits).astype(np.uint8))
            free = _RANK_BITS - np.minimum(self.registers, _RANK_BITS)
            self._limits = np.uint64(1) << free.astype(np.uint64)
            self._limits[self.registers > _RANK_BITS] = 0


def registers(hashes: Hashes) -> Registers:
    """Return the registers of hashed values, shape ``(2048,)``: the longest run of leading zeros in each, plus one."""
    counter = HyperLogLog()
    counter.add(hashes)
    return counter.registers


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
    _premix(words, out, np.empty_like(out))
    return _finish(out)


def _premix(words: Hashes, out: Hashes, spare: Hashes) -> None:
    """Write all of the finaliser but its last step, which changes the lower 33 bits alone."""
    np.add(words, np.uint64(0x9E3779B97F4A7C15), out=out)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        out ^= np.right_shift(out, np.uint64(shift), out=spare)
        out *= np.uint64(factor)


def _finish(mixed: Hashes) -> Hashes:
    mixed ^= mixed >> np.uint64(31)
    return mixed


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
