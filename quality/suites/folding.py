"""Owns what a suite asks of rows that pass once, stretch by stretch: answers are gathered before they are asked for.

What expectations ask for first is known from the columns alone, but for one thing: whether integers and booleans hold
nulls, which makes other columns of them. Both are gathered then, and what came true is used. An answer counts only for
the very expression that it was gathered for; whatever else is asked is left to a reading of the rows.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from quality.suites.compiled import first_needs
from quality.suites.engine import answer
from quality.suites.format import Format
from quality.suites.gathered import UNKNOWN, Examples, Gathered, gathered, same_needs
from quality.suites.needs import Need, Scalar
from quality.suites.source import Source


class Unfolded(Exception):
    """Something was asked that the rows have to be read for."""


class Folding:
    """Gathers the answers of a suite while its rows pass.

    Args:
        entries: Expectations, in the library's JSON form.
        schema: Columns of the rows.
        full: Columns that are known to hold no nulls.

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
    ) -> None:
        self.rows = 0
        self.nulls = dict.fromkeys(schema, 0)
        self.failed = False
        self._schema = schema
        self._gathered: dict[Need, list[Gathered]] = {}
        with self._giving_up():
            for without_nulls in (schema, frozenset(full)):
                nulls = dict.fromkeys(without_nulls, 0)
                guess = Source(frame=pl.LazyFrame(schema=schema), schema=schema, rows=0, nulls=nulls)
                for need in first_needs(guess, entries, Format.of("SUMMARY")):
                    self._foresee(need)

    def add(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        if not frame.height:
            return
        for column in frame.iter_columns():
            self.nulls[column.name] += column.null_count()
        if not self.failed:
            with self._giving_up():
                self._add(frame)
        self.rows += frame.height

    def source(self, frame: pl.LazyFrame | None = None) -> Source:
        """Return all rows as what a suite is run on; without `frame`, only what was gathered may be asked of it."""
        rows = pl.LazyFrame(schema=self._schema) if frame is None else frame
        return Source(frame=rows, schema=self._schema, rows=self.rows, nulls=self.nulls)

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

    @contextmanager
    def _giving_up(self) -> Generator[None]:
        try:
            yield
        except (Exception, pl.exceptions.PanicException):  # a suite of someone's; rows pass on whatever it holds
            self.failed = True
            self._gathered.clear()

    def _foresee(self, need: Need) -> None:
        alike = self._gathered.setdefault(need, [])
        one = next((one for one in alike if same_needs(one.need, need)), None)
        if one is None:
            one = gathered(need)
            alike += [] if one is None else [one]
        if one is None or not isinstance(need, Scalar) or need.examples is None:
            return
        examples, shown = need.examples, self._gathered.setdefault(need.examples, [])
        plain = examples.among is None and not examples.all_positions and examples.limit > 0
        if plain and not any(same_needs(other.need, examples) for other in shown):
            shown.append(Examples(examples, one))

    def _add(self, frame: pl.DataFrame) -> None:
        live = [one for alike in self._gathered.values() for one in alike]
        expressions = [
            part.alias(f"{place} {number}") for place, one in enumerate(live) for number, part in enumerate(one.parts)
        ]
        values = iter(frame.select(expressions).row(0)) if expressions else iter(())
        for one in live:
            one.take(tuple(next(values) for _ in one.parts), frame, self.rows)

    def _known(self, need: Need, source: Source | None) -> Any:
        if isinstance(need, Scalar) and need.known is not None:
            return need.known
        one = next((one for one in self._gathered.get(need, ()) if same_needs(one.need, need)), None)
        return UNKNOWN if one is None or not self.rows else one.value(source)
