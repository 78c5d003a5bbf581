"""Owns the search for columns that changed their name, and for what sets rows without a partner apart."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from quality.drift import drift
from quality.skew.pairing import Rows
from quality.skew.report import Counterpart

_ROWS = 2000
_SAME = 0.99
_PAIRS = 20_000
"""Pairs of columns that are laid beside each other; equal columns are found among any number."""
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
    theirs = {name: text for name, text in _texts(right) if text.n_unique() > 1}
    columns = {name: text for name, text in _texts(left) if text.n_unique() > 1}
    whole = {_fingerprint(text): name for name, text in reversed(columns.items())}
    renamed = {name: whole[mark] for name, text in theirs.items() if (mark := _fingerprint(text)) in whole}
    few = dict(list(columns.items())[: max(1, _PAIRS // max(1, len(theirs) - len(renamed)))])
    found: list[Counterpart] = []
    for name, text in theirs.items():
        like = Counterpart(training=renamed[name], serving=name, how="renamed") if name in renamed else None
        like = like or _counterpart(few, name, text)
        found += [like] if like else []
    return tuple(found)


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


def _fingerprint(text: pl.Series) -> int:
    return hash(text.hash(seed=0).to_numpy().tobytes())


def _counterpart(columns: Mapping[str, pl.Series], serving: str, text: pl.Series) -> Counterpart | None:
    for name, column in columns.items():
        if int(column.eq_missing(text).sum()) >= _SAME * len(text):
            return Counterpart(training=name, serving=serving, how="renamed")
    kinds = {name: column.n_unique() for name, column in columns.items()}
    for name in sorted((name for name in columns if kinds[name] * 5 <= len(text)), key=lambda name: kinds[name]):
        if pl.DataFrame({"one": columns[name], "two": text}).n_unique() == kinds[name]:
            return Counterpart(training=name, serving=serving, how="recoded")
    return None


def _texts(frame: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    for values in frame:
        if not (values.dtype.is_nested() or isinstance(values.dtype, pl.Object | pl.Binary)):
            number = values.dtype.is_integer() or isinstance(values.dtype, pl.Duration)
            yield (
                values.name,
                values.to_physical().cast(pl.Float64).cast(pl.String) if number else values.cast(pl.String),
            )
