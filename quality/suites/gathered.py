"""Owns what is kept of rows that have passed, for each kind of need; nothing where that would not be exact."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.suites.held import columns_of
from quality.suites.narrowing import Interval, Sample, ranks_of
from quality.suites.needs import Distinct, Fold, Found, Need, Order, Parts, Rows, Scalar
from quality.suites.ranks import OrderStatistics, bracket, ordered
from quality.suites.source import LARGE_ROWS, Source

UNKNOWN: Any = object()  # Any: it stands where an answer would
_HELD = 500_000
"""Most different values that are held of a column."""
_MERGED = 1 << 16
"""Values of several stretches, not fewer than so many, are looked through for those that occur in more than one."""
_LOOKS, _FEW_SHARE = 2_000, 0.1
"""Of about so many values, fewer than this share are different where different values are taken for few."""


class Stretch:
    """Some rows, and what is found of them once for all needs.

    Attributes:
        frame: The rows.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self._few: dict[str, pl.Series | None] = {}

    def few(self, name: str) -> pl.Series | None:
        """Return the different values of a column but null, or None if a look at some says that they are many."""
        if name not in self._few:
            values = self.frame[name]
            looked_at = values.gather_every(max(1, len(values) // _LOOKS))
            many = looked_at.n_unique() > _FEW_SHARE * len(looked_at)
            self._few[name] = None if many else values.unique().drop_nulls()
        return self._few[name]


class Gathered:
    """What is kept for one need.

    Attributes:
        need: The need.
    """

    def __init__(self, need: Need) -> None:
        self.need = need

    def parts(self, stretch: Stretch) -> tuple[pl.Expr, ...]:
        """Return expressions of one value each that are evaluated over a stretch, in one query with other needs'."""
        raise NotImplementedError

    def told(self, values: Parts, stretch: Stretch) -> Any:
        """Return what the values of its parts tell, a list as a series. It changes nothing; any thread may call it."""
        raise NotImplementedError

    def take(self, told: Any, first: int) -> None:
        """Take what a stretch told, in the order of the rows.

        Args:
            told: What `told` returned of it.
            first: Position of its first row.
        """
        raise NotImplementedError

    def value(self, source: Source | None) -> Any:
        """Return the answer, or `UNKNOWN`; with `source` its rows may be read for it."""
        raise NotImplementedError


class Folded(Gathered):
    """One value that is made of those of stretches."""

    def __init__(self, need: Scalar, fold: Fold) -> None:
        super().__init__(need)
        self._fold = fold
        self._held: Parts | None = None

    def parts(self, stretch: Stretch) -> tuple[pl.Expr, ...]:  # noqa: D102
        return self._fold.parts

    def told(self, values: Parts, stretch: Stretch) -> Parts:  # noqa: D102
        return values

    def take(self, told: Parts, first: int) -> None:  # noqa: D102
        self._held = told if self._held is None else self._fold.merge(self._held, told)

    def value(self, source: Source | None) -> Any:  # noqa: D102
        return UNKNOWN if self._held is None else self._fold.finish(self._held)


class Failing(Gathered):
    """How many rows fail, and the first of them."""

    def __init__(self, need: Rows) -> None:
        super().__init__(need)
        self.count = 0
        self._rows = need
        self._found: list[tuple[Any, ...]] = []
        self._positions: list[int] = []

    def parts(self, stretch: Stretch) -> tuple[pl.Expr, ...]:  # noqa: D102
        few = None if self._rows.decides is None else stretch.few(self._rows.decides)
        if few is not None and not few.to_frame().select(self._rows.failing.any()).item():
            return ()
        return (self._rows.failing.implode(),)

    def told(self, values: Parts, stretch: Stretch) -> tuple[int, list[tuple[Any, ...]], list[int]]:  # noqa: D102
        count = int(values[0].sum()) if values else 0
        room = self._rows.limit - len(self._positions)
        if not count or room <= 0:
            return count, [], []
        shown = [value.alias(str(place)) for place, value in enumerate(self._rows.values)]
        places = values[0].arg_true().head(room)
        names = [str(place) for place in range(len(shown))]
        failing = pl.DataFrame({name: stretch.frame[name] for name in columns_of(self._rows)})[places]
        return count, failing.with_columns(shown).select(names).rows(), places.to_list()

    def take(self, told: tuple[int, list[tuple[Any, ...]], list[int]], first: int) -> None:  # noqa: D102
        count, rows, places = told
        room = self._rows.limit - len(self._positions)
        self.count += count
        self._found += rows[:room]
        self._positions += [place + first for place in places[:room]]

    def value(self, source: Source | None) -> Any:  # noqa: D102
        return Found(rows=self._found, positions=self._positions)


class Counted(Gathered):
    """The count of rows that fail, which is found with the first of them.

    Attributes:
        of: What finds it.
    """

    def __init__(self, need: Scalar, of: Failing) -> None:
        super().__init__(need)
        self.of = of

    def value(self, source: Source | None) -> Any:  # noqa: D102
        return self.of.count


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of a stretch.

    Attributes:
        different: Each once.
        ends: First and last, if each is above the last.
    """

    different: pl.Series
    ends: tuple[Any, Any] | None


class Different(Gathered):
    """How many different values there are: the values while they are few, or a count while each is above the last."""

    def __init__(self, need: Distinct) -> None:
        super().__init__(need)
        self._value = need.value
        self._name = need.value.meta.output_name() if need.value.meta.is_column() else None
        self._held: list[pl.Series] = []
        self._merged = 0
        self._many = False
        self._ascends = True
        self._last: Any = None
        self._count = 0

    def parts(self, stretch: Stretch) -> tuple[pl.Expr, ...]:  # noqa: D102
        if self._ascends:
            return (self._value.drop_nulls().implode(),)
        if self._many or (self._name is not None and stretch.few(self._name) is not None):
            return ()
        return (self._value.unique().drop_nulls().implode(),)

    def told(self, values: Parts, stretch: Stretch) -> _Values | None:  # noqa: D102
        if not values:
            few = None if self._name is None else stretch.few(self._name)
            return None if self._many or few is None else _Values(few, None)
        found: pl.Series = values[0]
        if self._ascends and _rises(found):
            return _Values(found, (found[0], found[-1]) if len(found) else None)
        return _Values(found.unique(), None)

    def take(self, told: _Values | None, first: int) -> None:  # noqa: D102
        if told is None or not len(told.different):
            return
        self._ascends = self._ascends and told.ends is not None and (not self._count or told.ends[0] > self._last)
        if self._ascends and told.ends is not None:
            self._last, self._count = told.ends[1], self._count + len(told.different)
        if not self._many:
            self._held.append(told.different)
            size = sum(map(len, self._held))
            if not self._ascends and size > min(max(2 * self._merged, _MERGED), _HELD):
                self._held = [pl.concat(self._held).unique()]
                size = self._merged = len(self._held[0])
            self._many = size > _HELD
            self._held = [] if self._many else self._held

    def value(self, source: Source | None) -> Any:  # noqa: D102
        if self._ascends:
            return self._count
        return UNKNOWN if self._many else pl.concat(self._held).n_unique()


def _rises(found: pl.Series) -> bool:
    return found.dtype != pl.Boolean and bool((found[1:] > found[:-1]).all())


class Ranked(Gathered):
    """Values by rank: all of them while they are few, then those in intervals around the ranks."""

    def __init__(self, need: Order) -> None:
        super().__init__(need)
        self._order = need
        self._count = 0
        self._held: list[NDArray[Any]] = []
        self._intervals: list[Interval] = []
        self._sample = Sample()

    def parts(self, stretch: Stretch) -> tuple[pl.Expr, ...]:  # noqa: D102
        return (self._order.value.drop_nulls().implode(),)

    def told(self, values: Parts, stretch: Stretch) -> NDArray[Any]:  # noqa: D102
        return values[0].to_numpy()

    def take(self, told: NDArray[Any], first: int) -> None:  # noqa: D102
        self._count += len(told)
        self._sample.take(told)
        for interval in self._intervals:
            interval.take(told, self._count)
        if self._intervals:
            return
        self._held.append(told)
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
        case Rows(among=None, all_positions=False):
            return Failing(need)
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
