"""Owns what no season explains: changes so gross that they are told while the past is too short to know the seasons.

A season moves a column within the scale that it has: a winter is colder, a night has fewer orders. A unit that changed,
a column that got stuck, categories that were all renamed leave that scale. What is compared is the partition with each
earlier one by itself; a column that has left the scale of the others before is left to the past.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quality.drift.results import ColumnDrift
from quality.profile import Profile
from quality.profiles.columns import ColumnProfile
from quality.wording import three_digits

GROSS = 0.85
"""Default limit: of numbers, the range of both partitions is seven times that of the narrower one."""
_LARGE = 0.5
"""Effect of an earlier partition from which on the shares, lengths or gaps of a column are left to the past."""
_MANY = 10
"""So many equal values of an earlier partition are a sign that the column names it; fewer may be equal by chance."""
_INNER = 0.1
"""Share of the values at each end that an inner range leaves out."""
_CERTAIN = ("type", "absent")


def gross_changes(
    tests: Sequence[ColumnDrift],
    earlier: Sequence[Profile],
    current: Profile,
    effects: Mapping[tuple[str, str], Sequence[float]],
    *,
    limit: float = GROSS,
) -> list[ColumnDrift]:
    """Return the flagged tests that no season explains.

    - Numbers of several values whose `scale_change` against every earlier partition is above `limit`; the detail has
      both ranges.
    - A column of one value now, and the shares of categories, lengths of texts and missing values, where the lower
      confidence bound of the effect is above `limit`. All but the first of these from the third partition on, when it
      is known that earlier ones had no large effect.
    - A column that is gone or of another type.

    Of a column with one value alone in an earlier partition (of ten rows or more) only missing values are judged: such
    columns name the partition, or its season. One whose earlier partitions left the scale of those before them is left
    to the past.

    Args:
        tests: Tests of the partition.
        earlier: Earlier partitions, oldest first.
        current: The partition.
        effects: (column, test) to the effects of earlier partitions against those before them.
        limit: Largest effect that a season may have, from 0 to 1.
    """
    found: list[ColumnDrift] = []
    for test in tests:
        columns = [one.columns[test.column] for one in earlier if test.column in one.columns]
        if not test.flagged:
            continue
        if test.test in _CERTAIN:
            found.append(test)
        elif test.test != "missing" and any(column.distinct == 1 and column.count >= _MANY for column in columns):
            continue
        elif test.test == "ks":
            found += _on_another_scale(test, [*columns, current.columns[test.column]], limit)
        elif test.low > limit and (test.test == "stuck" or _calm(test, len(columns), effects)):
            found.append(test)
    return found


def scale_change(before: ColumnProfile, after: ColumnProfile, *, confidence: float = 0.95) -> float:
    """Return a lower bound of 1 - w / r: r is the range of both samples together, w that of the narrower one; 0 to 1.

    A factor of 1,000 or of 1/1,000 gives 0.999, wherever the values lie; two ranges of one width that touch give 0.5.
    Ranges in r are those between the 10 % and the 90 % quantile, narrowed by what these may be off at most (Dvoretzky,
    Kiefer and Wolfowitz, 1956; Massart, 1990); w is taken from the smallest to the largest value.

    Args:
        before: Numbers.
        after: Numbers.
        confidence: Of the quantiles of each sample.
    """
    ranges = [_Range.of(side, confidence) for side in (before, after)]
    return 0.0 if ranges[0] is None or ranges[1] is None else ranges[0].change(ranges[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """Where most values of a column lie at least, and how far all lie apart."""

    low: float
    high: float
    width: float

    @classmethod
    def of(cls, column: ColumnProfile, confidence: float = 0.95) -> "_Range | None":
        """Return it; None of a column without values, or of one value alone, which has no scale."""
        sketch = column.sketch
        if sketch is None or len(sketch.points) < 2:
            return None
        error = math.sqrt(math.log(2 / (1 - confidence)) / (2 * column.observed)) + sketch.rank_error
        cut = min(0.5, _INNER + error)
        return cls(low=sketch.quantile(cut), high=sketch.quantile(1 - cut), width=sketch.points[-1] - sketch.points[0])

    def change(self, other: "_Range") -> float:
        both = max(self.high, other.high) - min(self.low, other.low)
        narrower = min(self.width, other.width)
        return max(0.0, 1 - narrower / both) if both > 0 else 0.0


def _on_another_scale(test: ColumnDrift, columns: Sequence[ColumnProfile], limit: float) -> Iterator[ColumnDrift]:
    """Yield the test if the last of `columns` leaves the scale of all others, as none of them did before."""
    before = [found for column in columns[:-1] if (found := _Range.of(column)) is not None]
    after = _Range.of(columns[-1])
    if not before or after is None:
        return
    leaves = [
        all(before[place].change(earlier) > limit for earlier in before[:place]) for place in range(1, len(before))
    ]
    if all(after.change(one) > limit for one in before) and not any(leaves):
        ends = (after.low, after.high, min(one.low for one in before), max(one.high for one in before))
        low, high, least, most = map(three_digits, ends)
        yield replace(test, detail=f"most values lie from {low} to {high}, before from {least} to {most}")


def _calm(test: ColumnDrift, earlier: int, effects: Mapping[tuple[str, str], Sequence[float]]) -> bool:
    """Return whether earlier partitions are known to have had no large effect, as where nothing was missing."""
    return earlier > 1 and max(effects.get((test.column, test.test), ()), default=0.0) <= _LARGE
