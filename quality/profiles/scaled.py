"""Owns what a sample of a column's values tells of all of them: ranks and frequent values, scaled to their number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.profiles.binned import Binned
from quality.profiles.counted import Counted, Floats, Ints
from quality.profiles.frequent import Frequent


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """The ranks of numbers of which only the ends and a sample are known.

    Attributes:
        found: Ranks of the sample, of one value or more.
        rows: Number of all values.
        ends: The smallest and the largest of all.
    """

    found: Counted | Binned
    rows: int
    ends: tuple[int | float, int | float]

    @property
    def single(self) -> int:
        """The most that one sampled value counts for."""
        return -(-self.rows // self.found.rows)

    def expect(self, ranks: Ints, points: Floats) -> None:
        """Prepare for these ranks and points."""
        self.found.expect(self._sampled(ranks), points)

    def at_ranks(self, ranks: Ints) -> tuple[Floats, Ints, Ints]:
        """Return the values at these ranks, counted from 1, and how many values are below and up to each."""
        sampled, below, upto = self.found.at_ranks(self._sampled(ranks))
        values = np.where(ranks <= 1, self.ends[0], np.where(ranks >= self.rows, self.ends[1], sampled))
        inner = (values > self.ends[0]) & (values < self.ends[1])
        return (
            values.astype(np.float64),
            np.where(inner, self._scaled(below), self.below(values)),
            np.where(inner, self._scaled(upto), self.upto(values)),
        )

    def below(self, points: Floats) -> Ints:
        """Return about how many values are smaller than each point."""
        return self._between(self._scaled(self.found.below(points)), points > self.ends[0], points > self.ends[1])

    def upto(self, points: Floats) -> Ints:
        """Return about how many values are at most each point."""
        return self._between(self._scaled(self.found.upto(points)), points >= self.ends[0], points >= self.ends[1])

    def _sampled(self, ranks: Ints) -> Ints:
        """Return the ranks in the sample that stand for ranks among all values."""
        return np.clip(-(-ranks * self.found.rows // self.rows), 1, self.found.rows)

    def _scaled(self, counts: Ints) -> Ints:
        return counts * self.rows // self.found.rows

    def _between(self, counts: Ints, some: NDArray[np.bool_], every: NDArray[np.bool_]) -> Ints:
        """Return the counts with what the ends tell: none, at least one, all but one, or all."""
        inside = np.clip(counts, 1, max(1, self.rows - 1))
        return np.where(every, self.rows, np.where(some, inside, 0))


def scaled_frequent(listed: Frequent, sampled: int, rows: int) -> Frequent:
    """Return the frequent ones of `rows` values from those of a sample of so many of them.

    The list is never complete: what the sample lacks may occur.
    """
    items = tuple((text, count * rows // sampled) for text, count in listed.items)
    return Frequent(items=items, error=-(-max(1, listed.error) * rows // sampled), distinct=None)
