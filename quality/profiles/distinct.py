"""Owns the estimate of how many distinct values there are: HyperLogLog registers of their hashes."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from quality.profiles.hashing import BITS, Hashes

Registers = NDArray[np.uint8]

PRECISION = 11
"""Hash bits that choose a register: 2,048 of them."""
RELATIVE_ERROR = 1.04 / (1 << PRECISION) ** 0.5
"""Relative standard error of an estimate, 2.3 % (Flajolet, Fusy, Gandouet and Meunier, 2007)."""
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_RANK_BITS = BITS - PRECISION
_REST = np.uint32((1 << _RANK_BITS) - 1)
_FULL = 1 - 2.0**-8
"""Share of all hashes past which the number of values cannot be told: some 24 billion."""
_HELD = 1 << 13
"""Hashes looked at together at first, while many raise registers."""


class HyperLogLog:
    """Registers that more and more values raise.

    Attributes:
        registers: The longest run of leading zeros in each, plus one; shape ``(2048,)``.
    """

    def __init__(self) -> None:
        """Start without values."""
        self.registers: Registers = np.zeros(1 << PRECISION, np.uint8)
        self._limits = np.full(1 << PRECISION, _REST + np.uint32(1))
        """A register is raised by what is below its limit."""

    def add(self, hashes: Hashes) -> None:
        """Take hashed values."""
        start = size = 0
        while start < len(hashes):
            most = self._limits.max()
            size = max(4 * size, _HELD * int(_REST // max(most, np.uint32(1)) + 1))
            some = hashes[start : start + size]
            start += size
            rest = some & _REST
            if most <= _REST:
                raised = np.flatnonzero(rest < most)
                some, rest = some.take(raised), rest.take(raised)
            self._raise((some >> np.uint32(_RANK_BITS)).astype(np.int64), rest)

    def _raise(self, places: NDArray[np.int64], rest: Hashes) -> None:
        raised = np.flatnonzero(rest < self._limits.take(places))
        if len(raised):
            bits = np.frexp(rest[raised].astype(np.float64))[1]
            np.maximum.at(self.registers, places[raised], (_RANK_BITS + 1 - bits).astype(np.uint8))
            free = _RANK_BITS - np.minimum(self.registers, _RANK_BITS)
            self._limits = np.uint32(1) << free.astype(np.uint32)
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
    Values of one hash are allowed for (Flajolet and others, 2007): of a billion values, every tenth has another's.
    """
    size = len(found)
    counts = np.bincount(found, minlength=_RANK_BITS + 2).tolist()
    total = size * _tau(1 - counts[_RANK_BITS + 1] / size)
    for rank in range(_RANK_BITS, 0, -1):
        total = (total + counts[rank]) / 2
    total += size * _sigma(counts[0] / size)
    if total == float("inf"):
        return 0
    hashes = size * size / (2 * math.log(2)) / total if total else float("inf")
    return round(-(2**BITS) * math.log1p(-min(hashes / 2**BITS, _FULL)))


def encode(found: Registers) -> str:
    """Return the registers as text, one character each."""
    return "".join(_DIGITS[rank] for rank in found.tolist())


def decode(text: str) -> Registers:
    """Return the registers that `encode` wrote."""
    return np.array([_DIGITS.index(digit) for digit in text], np.uint8)


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
