"""Owns the search for columns that changed their name, and for what sets rows without a partner apart."""

from collections.abc import Iterator, Sequence

import polars as pl

from quality.drift import drift
from quality.skew.pairing import Rows
from quality.skew.report import Counterpart

_ROWS = 2000
_SAME = 0.99
_DRIFT_ROWS, _DRIFT_COLUMNS = 20_000, 200
_WORTH_TELLING = 3


def counterparts(
    training: pl.DataFrame,
    serving: pl.DataFrame,
    rows: Rows,
    partners: Rows,
    alone: tuple[Sequence[str], Sequence[str]],
) -> tuple[Counterpart, ...]:
    """Return for columns of serving that training lacks the column of training that they seem to be.

    Args:
        training: Rows of training.
        serving: Rows of serving.
        rows: Numbers of the rows of training that have a partner.
        partners: Numbers of their rows of serving.
        alone: Columns that training and serving alone have.
    """
    left, right = training.select(alone[0])[rows[:_ROWS]], serving.select(alone[1])[partners[:_ROWS]]
    found = [_counterpart(left, right[name], alone[0]) for name in alone[1]]
    return tuple(one for one in found if one is not None)


def unlike(frame: pl.DataFrame, alone: Rows, paired: Rows) -> tuple[str, ...]:
    """Return the columns in which rows without a partner are distributed otherwise than those with one.

    Args:
        frame: The columns of one side.
        alone: Numbers of the rows without a partner.
        paired: Numbers of the rows with one.
    """
    if not len(alone) or not len(paired):
        return ()
    step = max(1, -(-len(paired) // _DRIFT_ROWS))
    some = frame.select(frame.columns[:_DRIFT_COLUMNS])
    flagged = [test for test in drift(some[paired[::step]], some[alone[:_DRIFT_ROWS]]) if test.flagged]
    flagged.sort(key=lambda test: -test.effect)
    return tuple(dict.fromkeys(test.column for test in flagged))[:_WORTH_TELLING]


def _counterpart(training: pl.DataFrame, values: pl.Series, names: Sequence[str]) -> Counterpart | None:
    text = _text(values)
    if text.n_unique() < 2:
        return None
    columns = {name: column for name, column in _texts(training, names) if column.n_unique() > 1}
    for name, column in columns.items():
        if int(column.eq_missing(text).sum()) >= _SAME * len(text):
            return Counterpart(training=name, serving=values.name, how="renamed")
    few = sorted(
        (name for name in columns if columns[name].n_unique() * 5 <= len(text)), key=lambda n: columns[n].n_unique()
    )
    for name in few:
        pairs = pl.DataFrame({"one": columns[name], "two": text})
        if pairs.n_unique() == columns[name].n_unique():
            return Counterpart(training=name, serving=values.name, how="recoded")
    return None


def _texts(frame: pl.DataFrame, names: Sequence[str]) -> Iterator[tuple[str, pl.Series]]:
    for name in names:
        if not (frame.schema[name].is_nested() or isinstance(frame.schema[name], pl.Object | pl.Binary)):
            yield name, _text(frame[name])


def _text(values: pl.Series) -> pl.Series:
    if values.dtype.is_nested() or isinstance(values.dtype, pl.Object | pl.Binary):
        return pl.Series(values.name, [""]).new_from_index(0, len(values))
    return values.cast(pl.Float64).cast(pl.String) if values.dtype.is_integer() else values.cast(pl.String)
