"""Owns the pairing of rows: which row of serving is which row of training, and which have no partner.

Rows are paired by a 64-bit hash of their key, and every pair is verified by the keys themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_EXAMPLES = 1000
"""Keys kept of rows that repeat another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The rows of one side that can be paired, and those that cannot.

    Attributes:
        frame: Rows with a key, the first of each.
        codes: Hash of the key of each.
        rows: Rows that there were.
        keyless: Rows with a null in their key.
        duplicated: Keys that several rows have, the first of them.
        duplicates: How many rows repeat the key of an earlier one; the first row of a key is compared.
    """

    frame: pl.DataFrame
    codes: pl.Series
    rows: int
    keyless: int
    duplicated: pl.DataFrame
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Which rows belong together.

    Attributes:
        partner: For each row of training its row of serving, -1 where there is none.
        alone: Rows of training and of serving without a partner.
    """

    partner: Rows
    alone: tuple[Rows, Rows]

    @property
    def paired(self) -> int:
        """How many rows have a partner."""
        return len(self.partner) - len(self.alone[0])


def side_of(frame: pl.DataFrame, key: Mapping[str, pl.Expr]) -> Side:
    """Return the rows of `frame` by what can be done with them; `key` gives what names a row."""
    names, rows = list(key), frame.height
    keyed = frame.with_columns(expression.alias(name) for name, expression in key.items())
    if keyed.select(names).null_count().sum_horizontal()[0]:
        keyed = keyed.drop_nulls(names)
    codes = key_codes(keyed, names)
    keyless, repeated, found = rows - keyed.height, keyed.select(names).clear(), keyed
    if codes.n_unique() < len(codes):
        first = codes.is_first_distinct()
        repeated, found, codes = keyed.select(names).filter(~first), keyed.filter(first), codes.filter(first)
    return Side(
        frame=found,
        codes=codes,
        rows=rows,
        keyless=keyless,
        duplicated=repeated.unique(maintain_order=True).head(_EXAMPLES),
        duplicates=repeated.height,
    )


def key_codes(frame: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """Return a hash of the columns `names` of each row."""
    key = pl.struct(names) if len(names) > 1 else pl.col(names[0])
    return frame.select(key.hash(seed=0)).to_series()


def pair(training: Side, serving: Side, names: Sequence[str]) -> Pairs:
    """Return which rows of both sides have the same key."""
    left, right = (
        side.codes.to_frame("code").with_row_index(row) for side, row in ((training, "left"), (serving, "right"))
    )
    met = left.join(right, on="code", how="inner")
    one, two = met["left"].to_numpy(), met["right"].to_numpy()
    same = _same(training.frame.select(names), serving.frame.select(names), one, two)
    if not same.all():
        one, two = one[same], two[same]
    partner = np.full(training.frame.height, -1, np.int64)
    partner[one] = two
    taken = np.zeros(serving.frame.height, np.bool_)
    taken[two] = True
    return Pairs(partner=partner, alone=(np.flatnonzero(partner < 0), np.flatnonzero(~taken)))


def _same(one: pl.DataFrame, two: pl.DataFrame, left: Rows, right: Rows) -> NDArray[np.bool_]:
    """Tell for each pair whether its keys are the same, not only their hashes."""
    same = np.ones(len(left), np.bool_)
    for name in one.columns:
        same &= (one[name].gather(left) == two[name].gather(right)).to_numpy()
    return same
