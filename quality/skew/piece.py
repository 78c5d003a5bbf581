"""Owns the work on one piece of the rows, all in memory: pair, compare, and gather what explains the differences."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from quality.matching import cast_to, plain_casts
from quality.skew import neighbours
from quality.skew.alignment import Alignment
from quality.skew.cells import ROW, SERVING, TRAINING, Cells, compare, shown, taken
from quality.skew.clocks import slip_of_keys, slip_of_values
from quality.skew.counterparts import counterparts, unlike
from quality.skew.pairing import Pairs, Rows, Side, pair, side_of
from quality.skew.report import Counterpart, Example, Kind
from quality.skew.rule import SkewRule

Keys = tuple[Mapping[str, str], ...]
_KEYS_SHOWN = 5
_SLIP_COLUMNS = 100
"""Columns whose values tell a slip of the clock: more tell no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePiece:
    """What one side's rows of a piece tell; the fields are those of `quality.skew.report.SideSkew`, as counts."""

    rows: int
    keyless: int
    keyed: int
    unpaired: int
    duplicated: int
    unpaired_examples: Keys
    duplicated_examples: Keys
    unlike: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one piece tells.

    Attributes:
        sides: The rows of training and of serving.
        paired: Rows that were compared.
        late: How many of them are late.
        cells: What differs in each column.
        examples: Differing cells of each column.
        slip: By how much serving's clock is off.
        counterparts: Columns that seem to have changed their name.
    """

    sides: tuple[SidePiece, SidePiece]
    paired: int
    late: int
    cells: Mapping[str, Cells]
    examples: Mapping[str, tuple[Example, ...]]
    slip: Kind | None
    counterparts: tuple[Counterpart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Both:
    """Both sides of a piece, paired."""

    training: pl.DataFrame
    serving: pl.DataFrame
    pairs: Pairs
    aligned: Alignment
    rule: SkewRule

    @property
    def rows(self) -> Rows:
        """Rows of training that have a partner."""
        return np.flatnonzero(self.pairs.partner >= 0)

    @property
    def partners(self) -> Rows:
        """Their rows of serving."""
        return self.pairs.partner[self.rows]

    @property
    def names(self) -> list[str]:
        """Columns that name a row."""
        return list(self.aligned.keys)


def look_at(training: pl.DataFrame, serving: pl.DataFrame, aligned: Alignment, rule: SkewRule) -> Piece:
    """Return what the rows of one piece tell."""
    key = {name: cast_to(kind, name) for name, kind in aligned.keys.items()}
    with plain_casts(" and ".join(key)):
        sides = (side_of(training, key), side_of(serving, key))
    pairs = pair(*sides, list(key))
    both = _Both(training=sides[0].frame, serving=sides[1].frame, pairs=pairs, aligned=aligned, rule=rule)
    late = _late(both)
    counted = compare(both.training, both.serving, pairs.partner, aligned.columns, ulps=rule.ulps, late=late)
    cells, keys = _explained(both, counted), both.training.select(both.names)
    return Piece(
        sides=(_side(sides[0], pairs.alone[0], both.rows), _side(sides[1], pairs.alone[1], both.partners)),
        paired=pairs.paired,
        late=0 if late is None else int(late.gather(both.rows).sum()),
        cells=cells,
        examples={name: _examples(keys, found, rule.examples) for name, found in cells.items()},
        slip=_slip(both, cells),
        counterparts=_counterparts(both),
    )


def _late(both: _Both) -> pl.Series | None:
    arrived, time = both.rule.arrived, both.rule.time
    if arrived is None or time is None:
        return None
    there = cast_to(both.aligned.keys[time], arrived)
    return both.training.select((there > pl.col(time)).fill_null(value=False)).to_series()


def _side(side: Side, alone: Rows, paired: Rows) -> SidePiece:
    names = side.duplicated.columns
    return SidePiece(
        rows=side.rows,
        keyless=side.keyless,
        keyed=side.frame.height,
        unpaired=len(alone),
        duplicated=side.duplicates,
        unpaired_examples=_keys(side.frame.select(names)[alone[:_KEYS_SHOWN]]),
        duplicated_examples=_keys(side.duplicated.head(_KEYS_SHOWN)),
        unlike=unlike(side.frame.drop(names), alone, paired),
    )


def _keys(frame: pl.DataFrame) -> Keys:
    return tuple({name: shown(value) for name, value in row.items()} for row in frame.iter_rows(named=True))


def _explained(both: _Both, cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """Return `cells` with the values around those that differ, where rows have a time."""
    differing = {
        name: kind for name, kind in both.aligned.columns.items() if cells[name].different and not kind.is_nested()
    }
    if both.rule.time is None or not differing:
        return dict(cells)
    line, made = neighbours.timeline(both.training, both.rule.keys, both.rule.time), dict(cells)
    near, partners = neighbours.neighbours(both.rows, line), both.partners
    for name, kind in differing.items():
        values = taken(both.training, {name: kind}, None)[name]
        served = taken(both.serving, {name: kind}, partners)[name]
        made[name] = replace(
            cells[name],
            sample=neighbours.beside(cells[name].sample, values, line),
            shifted=neighbours.shifted(values, served, near),
        )
    return made


def _examples(keys: pl.DataFrame, cells: Cells, count: int) -> tuple[Example, ...]:
    if not cells.different:
        return ()
    sample = cells.sample.head(count)
    named = _keys(keys[sample[ROW].to_numpy()])
    values = zip(sample[TRAINING], sample[SERVING], strict=True)
    return tuple(
        Example(key=key, training=shown(one), serving=shown(two)) for key, (one, two) in zip(named, values, strict=True)
    )


def _slip(both: _Both, cells: Mapping[str, Cells]) -> Kind | None:
    """Return by how much serving's clock is off: rows lack a partner, or have one with other values in most columns."""
    keys, time, alone = both.rule.keys, both.rule.time, both.pairs.alone[1]
    if time is None:
        return None
    known, logged = both.training.select(both.names), both.serving.select(both.names)
    if len(alone) > both.rule.unpaired * logged.height:
        found = slip_of_keys(known, logged[alone], keys, time)
        if found is not None:
            return found
    wrong = [name for name, found in cells.items() if found.different > both.pairs.paired / 2]
    if not both.pairs.paired or len(wrong) * 2 <= len(cells):
        return None
    flat = [name for name in wrong if not both.aligned.columns[name].is_nested()][:_SLIP_COLUMNS]
    plain = {name: both.aligned.columns[name] for name in flat}
    if not plain:
        return None
    left, right = (taken(frame, plain, None) for frame in (both.training, both.serving))
    return slip_of_values(known.hstack(left), logged.hstack(right), keys, time, list(plain))


def _counterparts(both: _Both) -> tuple[Counterpart, ...]:
    if not all(both.aligned.alone):
        return ()
    return counterparts(both.training, both.serving, both.rows, both.partners, both.aligned.alone)
