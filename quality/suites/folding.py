"""Owns what a suite asks of rows that pass once, stretch by stretch: answers are gathered before they are asked for.

What expectations ask for first is known from the columns alone, but for one thing: whether integers and booleans hold
nulls, which makes other columns of them. Both are gathered then, and what came true is used. An answer counts only for
the very expression that it was gathered for; whatever else is asked is left to a reading of the rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from quality.suites.compiled import first_needs
from quality.suites.engine import answer
from quality.suites.format import Format
from quality.suites.gathered import UNKNOWN, Counted, Failing, Folded, Gathered, Stretch, gathered, same_needs
from quality.suites.needs import Need, Parts, Scalar
from quality.suites.source import Assured, Source

_REFUSED = (Exception, pl.exceptions.PanicException)
"""What a suite of someone's may raise; rows pass on whatever it holds."""


class Unfolded(Exception):
    """Something was asked that the rows have to be read for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What some rows tell.

    Attributes:
        rows: How many they are.
        nulls: Nulls of each column among them.
        told: What they tell of each need; None if it could not be evaluated.
    """

    rows: int
    nulls: Mapping[str, int]
    told: Sequence[Any] | None  # Any: what each kind of need takes


class Folding:
    """Gathers the answers of a suite while its rows pass.

    Args:
        entries: Expectations, in the library's JSON form.
        schema: Columns of the rows.
        full: Columns that are known to hold no nulls.
        assured: What is certain of the values of some columns.

    Attributes:
        rows: Rows that passed.
        nulls: Nulls of each column among them.
        failed: Whether something could not be gathered, so that nothing is: the rows have to be read, and whoever does
            tells what is wrong with the suite.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],  # Any: JSON values
        schema: Mapping[str, pl.DataType],
        *,
        full: Iterable[str] = (),
        assured: Mapping[str, Assured] | None = None,
    ) -> None:
        self.rows = 0
        self.nulls = dict.fromkeys(schema, 0)
        self.failed = False
        self._schema = schema
        self._assured = assured or {}
        self._gathered: dict[Need, list[Gathered]] = {}
        try:
            for without_nulls in (schema, frozenset(full)):
                nulls = dict.fromkeys(without_nulls, 0)
                guess = self._source(pl.LazyFrame(schema=schema), nulls)
                for need in first_needs(guess, entries, Format.of("SUMMARY")):
                    self._foresee(need)
        except _REFUSED:
            self._give_up()
        every = [one for alike in self._gathered.values() for one in alike if not isinstance(one, Counted)]
        refused = self._refused(every, Stretch(pl.DataFrame(schema=schema)))
        if refused:
            self._leave_out(refused)
        self._live = tuple(one for one in every if one not in refused)

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        self.take(self.evaluate(frame))

    def evaluate(self, frame: pl.DataFrame) -> Evaluated:
        """Return what some rows tell. It changes nothing: threads may call it for different rows at a time."""
        nulls = {column.name: column.null_count() for column in frame.iter_columns()}
        if self.failed or not frame.height:
            return Evaluated(rows=frame.height, nulls=nulls, told=None)
        try:
            stretch = Stretch(frame)
            values = self._evaluated(self._live, stretch)
            told = [one.told(some, stretch) for one, some in zip(self._live, values, strict=True)]
            return Evaluated(rows=frame.height, nulls=nulls, told=told)
        except _REFUSED:
            return Evaluated(rows=frame.height, nulls=nulls, told=None)

    def take(self, evaluated: Evaluated) -> None:
        """Take what the next rows tell, in their order; one thread at a time."""
        if not evaluated.rows:
            return
        for name, count in evaluated.nulls.items():
            self.nulls[name] += count
        if evaluated.told is None:
            self._give_up()
        elif not self.failed:
            try:
                for one, told in zip(self._live, evaluated.told, strict=True):
                    one.take(told, self.rows)
            except _REFUSED:
                self._give_up()
        self.rows += evaluated.rows

    def source(self, frame: pl.LazyFrame | None = None) -> Source:
        """Return all rows as what a suite is run on; without `frame`, only what was gathered may be asked of it."""
        rows = pl.LazyFrame(schema=self._schema) if frame is None else frame
        return self._source(rows, self.nulls)

    def answer(self, source: Source, needs: Iterable[Need]) -> dict[Need, Any]:
        """Return the value of each need, from what was gathered or else from `source`."""
        wanted = list(dict.fromkeys(needs))
        found = {need: value for need in wanted if (value := self._known(need, source)) is not UNKNOWN}
        return found | answer(source, [need for need in wanted if need not in found])

    def answer_alone(self, _: Source, needs: Iterable[Need]) -> dict[Need, Any]:
        """Return the value of each need, from what was gathered.

        Raises:
            Unfolded: If something has to be read.
        """
        found = {need: self._known(need, None) for need in dict.fromkeys(needs)}
        if any(value is UNKNOWN for value in found.values()):
            raise Unfolded
        return found

    def _source(self, frame: pl.LazyFrame, nulls: Mapping[str, int]) -> Source:
        return Source(frame=frame, schema=self._schema, rows=self.rows, nulls=nulls, assured=self._assured)

    def _give_up(self) -> None:
        self.failed = True
        self._gathered.clear()

    def _foresee(self, need: Need) -> Gathered | None:
        """Gather for a need, once for needs that are alike; None if that is of no use."""
        if isinstance(need, Scalar) and need.known is not None:
            return None
        alike = self._gathered.setdefault(need, [])
        one = next((one for one in alike if same_needs(one.need, need)), None)
        if one is None and (one := gathered(need)) is not None:
            alike.append(one)
        if isinstance(need, Scalar) and need.examples is not None and isinstance(one, Folded):
            failing = self._foresee(need.examples)
            if isinstance(failing, Failing) and need.expression.meta.eq(need.examples.failing.sum()):
                alike[alike.index(one)] = Counted(need, failing)
        return one

    def _refused(self, some: Sequence[Gathered], empty: Stretch) -> list[Gathered]:
        """Return the needs whose expressions Polars refuses: a guess about nulls gives types that may not compare."""
        try:
            self._evaluated(some, empty)
        except _REFUSED:
            half = len(some) // 2
            return [*self._refused(some[:half], empty), *self._refused(some[half:], empty)] if half else list(some)
        return []

    def _leave_out(self, refused: Sequence[Gathered]) -> None:
        for need, alike in self._gathered.items():
            kept = [one for one in alike if (one.of if isinstance(one, Counted) else one) not in refused]
            self._gathered[need] = kept

    def _evaluated(self, some: Sequence[Gathered], stretch: Stretch) -> list[Parts]:
        """Return the values of the parts of some needs."""
        parts = [one.parts(stretch) for one in some]
        expressions = [
            part.alias(f"{place} {number}") for place, each in enumerate(parts) for number, part in enumerate(each)
        ]
        values = (column[0] for column in stretch.frame.select(expressions).iter_columns())
        return [tuple(next(values) for _ in each) for each in parts]

    def _known(self, need: Need, source: Source | None) -> Any:
        if isinstance(need, Scalar) and need.known is not None:
            return need.known
        one = next((one for one in self._gathered.get(need, ()) if same_needs(one.need, need)), None)
        return UNKNOWN if one is None or not self.rows else one.value(source)
