"""Owns what is kept of rows that have passed, for each kind of need; nothing where that would not be exact."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.suites.narrowing import Interval, Sample, ranks_of
from quality.suites.needs import Distinct, Fold, Found, Need, Order, Parts, Rows, Scalar
from quality.suites.ranks import OrderStatistics, bracket, ordered
from quality.suites.source import LARGE_ROWS, Source

UNKNOWN: Any = object()  # Any: it stands where an answer would
_HELD = 500_000
"""Most different values that are held of a column."""


class Gathered:
    """What is kept for one need.

    Attributes:
        need: The need.
        parts: Expressions that are evaluated over each stretch of rows, in one query with those of other needs.
    """

    parts: tuple[pl.Expr, ...] = ()

    def __init__(self, need: Need) -> None:
        self.need = need

    def take(self, values: Parts, frame: pl.DataFrame, first: int) -> None:
        """Take the next rows.

        Args:
            values: Values of `parts` over them.
            frame: The rows.
            first: Position of the first of them.
        """
        raise NotImplementedError

    def value(self, source: Source | None) -> Any:
        """Return the answer, or `UNKNOWN`; with `source` its rows may be read for it."""
        raise NotImplementedError


class Folded(Gathered):
    """One value that is made of those of stretches."""

    def __init__(self, need: Scalar, fold: Fold) -> None:
        super().__init__(need)
        self.parts = fold.parts
        self.last: Parts = ()
        self._fold = fold
        self._held: Parts | None = None

    def take(self, values: Parts, frame: pl.DataFrame, first: int) -> None:  # noqa: D102
        self.last = values
        self._held = values if self._held is None else self._fold.merge(self._held, values)

    def value(self, source: Source | None) -> Any:  # noqa: D102
        return UNKNOWN if self._held is None else self._fold.finish(self._held)


class Examples(Gathered):
    """The first rows that fail, looked for where their count says that there are some."""

    def __init__(self, need: Rows, count: Gathered) -> None:
        super().__init__(need)
        self._rows = need
        self._count = count
        self._found: list[tuple[Any, ...]] = []
        self._positions: list[int] = []

    def take(self, values: Parts, frame: pl.DataFrame, first: int) -> None:  # noqa: D102
        room = self._rows.limit - len(self._positions)
        if room <= 0 or not (isinstance(self._count, Folded) and self._count.last[0]):
            return
        shown = [value.alias(str(place)) for place, value in enumerate(self._rows.values)]
        places = frame.select(self._rows.failing.arg_true().head(room).alias("place"))["place"]
        names = [str(place) for place in range(len(shown))]
        self._found += frame[places].with_columns(shown).select(names).rows()
        self._positions += (places.cast(pl.Int64) + first).to_list()

    def value(self, source: Source | None) -> Any:  # noqa: D102
        return Found(rows=self._found, positions=self._positions)


class Different(Gathered):
    """How many different values there are: the values while they are few, or a count while each is above the last."""

    def __init__(self, need: Distinct) -> None:
        super().__init__(need)
        self._value = need.value
        self._held: pl.Series | None = None
        self._many = False
        self._ascends = True
        self._last: Any = None
        self._count = 0

    def take(self, values: Parts, frame: pl.DataFrame, first: int) -> None:  # noqa: D102
        if self._many and not self._ascends:
            return
        found = frame.select(self._value).to_series().drop_nulls()
        if not len(found):
            return
        self._ascends = self._ascends and self._goes_on(found)
        self._last, self._count = found[-1], self._count + len(found)
        if not self._many:
            some = found if self._ascends else found.unique()
            held = some if self._held is None else pl.concat([self._held, some])
            self._held = held if self._ascends else held.unique()
            self._many = len(self._held) > _HELD
            self._held = None if self._many else self._held

    def value(self, source: Source | None) -> Any:  # noqa: D102
        if self._ascends:
            return self._count
        return UNKNOWN if self._held is None else len(self._held)

    def _goes_on(self, found: pl.Series) -> bool:
        if found.dtype == pl.Boolean or (self._count and not found[0] > self._last):
            return False
        return bool((found[1:] > found[:-1]).all())


class Ranked(Gathered):
    """Values by rank: all of them while they are few, then those in intervals around the ranks."""

    def __init__(self, need: Order) -> None:
        super().__init__(need)
        self._order = need
        self._count = 0
        self._held: list[NDArray[Any]] = []
        self._intervals: list[Interval] = []
        self._sample = Sample()

    def take(self, values: Parts, frame: pl.DataFrame, first: int) -> None:  # noqa: D102
        found = frame.select(self._order.value).to_series().drop_nulls().to_numpy()
        self._count += len(found)
        self._sample.take(found)
        for interval in self._intervals:
            interval.take(found, self._count)
        if self._intervals:
            return
        self._held.append(found)
        if self._count > LARGE_ROWS:
            together = np.concatenate(self._held)
            self._intervals = [Interval(share, together) for share in self._order.quantiles]
            self._held = []

    def value(self, source: Source | None) -> Any:  # noqa: D102
        runs = [run for interval in self._intervals for run in interval.runs()]
        if not self._intervals:
            runs = [(0, np.sort(np.concatenate(self._held)))]
        wanted = ranks_of(self._order.quantiles, self._count)
        if all(any(start <= rank < start + len(values) for start, values in runs) for rank in wanted):
            return OrderStatistics(source, self._order, self._count, runs)
        if source is None:
            return UNKNOWN
        return ordered(source, self._order, bracket([pl.Series(self._sample.values())], self._order.quantiles))


def gathered(need: Need) -> Gathered | None:
    """Return what is to be kept for a need, or None if only all rows tell."""
    match need:
        case Scalar(fold=fold) if fold is not None:
            return Folded(need, fold)
        case Distinct():
            return Different(need)
        case Order():
            return Ranked(need)
        case _:
            return None


def same_needs(one: Need, other: Need) -> bool:
    """Return whether two needs are met by one answer: equal keys may stand for different types of a column."""
    pairs = _expressions(one), _expressions(other)
    same = one == other and len(pairs[0]) == len(pairs[1]) and getattr(one, "limit", 0) == getattr(other, "limit", 0)
    return same and all(left.meta.eq(right) for left, right in zip(*pairs, strict=True))


def _expressions(need: Need) -> tuple[pl.Expr, ...]:
    match need:
        case Scalar():
            return (need.expression,)
        case Rows():
            return (need.failing, *need.values)
        case Distinct() | Order():
            return (need.value,)
        case _:
            return ()
