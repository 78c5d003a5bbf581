"""Owns keyed permutations of `range(n)` that give any part of themselves without the rest.

Each is a few rounds of an odd multiplication, an addition and an xor with a shift to the right on words just wide
enough for `n`; each of these is invertible on such words, so their composition is. Words that fall outside are sent
round again until they fall inside (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
It scatters well (docs/benchmarks/loader.md has scores); it keeps no secret.
"""

from collections.abc import Sequence

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

ROUNDS = 6
NARROW_ROUNDS = 12
"""Rounds of words of up to 12 bits, which mix less in each."""
LARGEST = 2**63
_CONTEXT = "penstock 2026-11 order of samples"
_BLOCK = 2**15  # 128 KiB of words: they stay in the second-level cache through all rounds


class Bijection:
    """A permutation of `range(n)`, the same for the same key on every machine and with every version of numpy.

    Args:
        n: How many numbers are permuted, from 0 to 2**63.
        key: Integers that tell this permutation from others, each below 2**64.

    Raises:
        ValueError: If `n` is out of range.

    >>> permutation = Bijection(10, key=(1, 2))
    >>> sorted(permutation(0, 10).tolist()) == list(range(10))
    True
    >>> permutation(3, 5).tolist() == permutation(0, 10)[3:5].tolist()
    True
    """

    __slots__ = ("_adds", "_mask", "_multipliers", "_n", "_shifts", "_word")

    def __init__(self, n: int, key: Sequence[int]) -> None:
        if not 0 <= n <= LARGEST:
            raise ValueError(f"a permutation is of 0 to 2**63 numbers, got {n:,}")
        bits = max((n - 1).bit_length(), 4) if n else 4
        self._n = n
        self._word = np.uint32 if bits <= 32 else np.uint64
        rounds = ROUNDS if bits > 12 else NARROW_ROUNDS
        words = _words(key, 2 * rounds)
        self._mask = self._word(2**bits - 1)
        self._multipliers = [self._word(word & (2**bits - 1) | 1) for word in words[:rounds]]
        self._adds = [self._word(word & (2**bits - 1)) for word in words[rounds:]]
        # Two widths, so that no bit is a function of its own half alone.
        self._shifts = [self._word((bits + 1) // 2 if number % 2 == 0 else (bits + 2) // 3) for number in range(rounds)]

    def __len__(self) -> int:
        return self._n

    def __call__(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return where the numbers from `start` to before `stop` go, shape ``(stop - start,)``.

        Raises:
            IndexError: If they are not within `range(n)`.
        """
        if not 0 <= start <= stop <= self._n:
            raise IndexError(f"numbers {start:,} to {stop:,} are not within the permutation of {self._n:,}")
        out = np.empty(stop - start, np.intp)
        for first in range(start, stop, _BLOCK):
            last = min(first + _BLOCK, stop)
            out[first - start : last - start] = self._walked(np.arange(first, last, dtype=self._word))
        return out

    def _walked(self, words: "NDArray[np.uint32 | np.uint64]") -> "NDArray[np.uint32 | np.uint64]":
        self._mix(words)
        if self._n > int(self._mask):
            return words
        outside = np.flatnonzero(words >= self._n)
        while outside.size:
            again = words[outside]
            self._mix(again)
            words[outside] = again
            outside = outside[again >= self._n]
        return words

    def _mix(self, words: "NDArray[np.uint32 | np.uint64]") -> None:
        scratch = np.empty_like(words)
        for multiplier, add, shift in zip(self._multipliers, self._adds, self._shifts, strict=True):
            np.multiply(words, multiplier, out=words)
            np.add(words, add, out=words)
            np.bitwise_and(words, self._mask, out=words)
            np.right_shift(words, shift, out=scratch)
            np.bitwise_xor(words, scratch, out=words)


def _words(key: Sequence[int], count: int) -> list[int]:
    material = b"".join(number.to_bytes(8, "little") for number in key)
    stream = blake3(material, derive_key_context=_CONTEXT).digest(length=8 * count)
    return [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(count)]
