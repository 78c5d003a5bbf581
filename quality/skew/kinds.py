"""Owns the kinds of skew that the values themselves tell: from pairs that differ to "unit change" and the like.

Each kind is a function of the differing pairs; the first that explains nine in ten of them names the skew. Cells that
one side lacks and cells where both have a value are explained apart, since the two have causes of their own.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality import wording
from quality.skew.cells import LATE, SERVING, TRAINING, Cells, shown
from quality.skew.neighbours import AFTER, BEFORE, EARLIER
from quality.skew.report import Kind, rate

EXPLAINED = 0.9
"""Share of the differing cells that a kind must explain."""
_CATEGORIES = 100
_CELLS_EACH = 20
"""Cells for each value, on average, from which on more values than that may be categories: zones, shops."""
_FEW = 5
"""Distinct values below which a law or a past value is met by chance."""
_MINUTE_US = 60_000_000
_A, _B = pl.col(TRAINING), pl.col(SERVING)
Floats = NDArray[np.float64]
Recognise = Callable[[pl.DataFrame], Kind | None]


def kinds_of(cells: Cells, *, late: float) -> tuple[Kind, ...]:
    """Return the kinds of skew of one column, that of cells without a value first.

    Args:
        cells: What differs.
        late: Share of the compared rows that are late; lateness explains differing cells that are so more often.
    """
    if not cells.different:
        return ()
    sample = cells.sample
    if LATE in sample.columns and rate(int(sample[LATE].sum()), sample.height).low <= late:
        sample = sample.drop(LATE)
    lacking = sample.filter(_A.is_null() | _B.is_null())
    both = sample.filter(_A.is_not_null() & _B.is_not_null())
    found = [_enough(_late(lacking)) or _lacking(lacking)] if lacking.height else []
    if both.height:
        found.append(_shifted(cells, both) or _first(both))
    return tuple(found)


def _first(both: pl.DataFrame) -> Kind:
    kind = both.schema[TRAINING]
    for recognise in _recognisers(kind):
        with np.errstate(all="ignore"):  # factors of denormal numbers are infinite, and refused as such
            found = _enough(recognise(both))
        if found is not None:
            return found
    return Kind(
        name="other values", reason="what serving has follows from training's value by no rule that is tried", share=1.0
    )


def _enough(kind: Kind | None) -> Kind | None:
    return kind if kind is not None and kind.share >= EXPLAINED else None


def _recognisers(kind: pl.DataType) -> Sequence[Recognise]:
    if isinstance(kind, pl.Datetime | pl.Date):
        return (_time_zone, _late, _stale)
    if isinstance(kind, pl.Boolean):
        return (_swapped, _late)
    if kind.is_numeric():
        exact = (_float32, _rounded) if kind.is_float() else ()
        return (*exact, _late, _hours, _swapped, _ratio, _line, _stale, _recoded)
    if isinstance(kind, pl.String):
        return (_truncated, _spelling, _late, _swapped, _stale, _recoded)
    return (_late,)


def _lacking(cells: pl.DataFrame) -> Kind:
    """Return what stands where one side has no value."""
    filled = cells.filter(_A.is_null())
    if filled.height < cells.height / 2:
        share = 1 - filled.height / cells.height
        return Kind(name="missing at serving", reason="serving has no value where training has one", share=share)
    nested = filled.schema[SERVING].is_nested()
    top = None if nested else filled[SERVING].rename("value").value_counts(sort=True).row(0)
    if top is None or top[1] < EXPLAINED * filled.height:
        reason = "serving has a value where training has none"
        return Kind(name="missing in training", reason=reason, share=filled.height / cells.height)
    zero = not isinstance(top[0], str) and top[0] in (0, 0.0, False)
    name = "null to zero" if zero else "default fill"
    reason = f"serving has {shown(top[0])} where training has none"
    return Kind(name=name, reason=reason, share=top[1] / cells.height)


def _shifted(cells: Cells, both: pl.DataFrame) -> Kind | None:
    """Return a window off by one: of all rows, not only of the differing ones, serving has the value of a neighbour."""
    for (count, rows), side in zip(cells.shifted, (BEFORE, AFTER), strict=True):
        if rows and count >= EXPLAINED * rows and both[TRAINING].n_unique() > 1:
            reason = f"serving has the value that training has one row {side}"
            share = _share(both.filter(pl.col(side).is_not_null()), pl.col(side) == _B)
            return _enough(Kind(name="off-by-one window", reason=reason, share=share))
    return None


def _share(cells: pl.DataFrame, holds: pl.Expr) -> float:
    return float(cells.select(holds.fill_null(value=False).cast(pl.Float64).mean()).item() or 0.0)


def _time_zone(cells: pl.DataFrame) -> Kind | None:
    """Return a slip of whole quarter-hours within 14 hours, at most two of them (summer and winter time)."""
    gap = cells.select((_B - _A).dt.total_microseconds().alias("gap")).to_series()
    top = gap.value_counts(sort=True, name="count").head(2)
    slips = [value for value in top["gap"] if value % (15 * _MINUTE_US) == 0 and abs(value) <= 14 * 60 * _MINUTE_US]
    if not slips:
        return None
    told = " or ".join(f"{hours(value)}" for value in slips)
    share = int(gap.is_in(slips).sum()) / cells.height
    return Kind(name="time-zone slip", reason=f"serving's clock is {told} off", share=share)


def hours(microseconds: int) -> str:
    """Return a difference of clocks.

    >>> hours(-19_800_000_000)
    '-5:30 h'
    """
    minutes = abs(microseconds) // _MINUTE_US
    return f"{'-' if microseconds < 0 else '+'}{minutes // 60}:{minutes % 60:02d} h"


def _hours(cells: pl.DataFrame) -> Kind | None:
    """Return a constant shift of hours of the day."""
    one, two = _numbers(cells)
    both = np.concatenate([one, two])
    if len(both) == 0 or both.min() < 0 or not 20 <= both.max() <= 23 or len(np.unique(one)) < 12:
        return None
    shifts, counts = np.unique((two - one) % 24, return_counts=True)
    top, count = float(shifts[counts.argmax()]), int(counts.max())
    if top != int(top):
        return None
    told = int(top) if top <= 12 else int(top) - 24
    reason = f"serving's hours of the day are {told:+d} off, modulo 24"
    return Kind(name="time-zone slip", reason=reason, share=count / cells.height)


def _float32(cells: pl.DataFrame) -> Kind | None:
    for source, cast, side in ((_A, _B, "serving"), (_B, _A, "training")):
        share = _share(cells, source.cast(pl.Float32).cast(pl.Float64) == cast.cast(pl.Float64))
        if share >= EXPLAINED:
            reason = f"{side} has the values rounded to 32-bit floats"
            return Kind(name="float32 cast", reason=reason, share=share)
    return None


def _rounded(cells: pl.DataFrame) -> Kind | None:
    for places in range(7):
        for source, cut, side in ((_A, _B, "serving"), (_B, _A, "training")):
            near = (source - cut).abs() <= 0.5000001 * 10.0**-places
            share = _share(cells, near & (cut.round(places) == cut))
            if share >= EXPLAINED and cells[TRAINING].n_unique() >= _FEW:
                reason = f"{side} has the values rounded to {wording.count(places, 'decimal')}"
                return Kind(name="rounding", reason=reason, share=share)
    return None


def _late(cells: pl.DataFrame) -> Kind | None:
    if LATE not in cells.columns:
        return None
    reason = "the rows that differ are those whose newest value arrived after the event time"
    return Kind(name="late data", reason=reason, share=_share(cells, pl.col(LATE)))


def _mapping(cells: pl.DataFrame) -> tuple[dict[object, object], float] | None:
    """Return to which value each one turned for the most part, and how many cells follow that."""
    counted = cells.group_by(TRAINING, SERVING).len().sort("len", TRAINING, SERVING, descending=[True, False, False])
    best = counted.unique(TRAINING, keep="first", maintain_order=True)
    # Values that come once follow any mapping.
    if best.height > max(_CATEGORIES, cells.height // _CELLS_EACH) or 2 * best.height > cells.height:
        return None
    return dict(zip(best[TRAINING], best[SERVING], strict=True)), float(best["len"].sum()) / cells.height


def _swapped(cells: pl.DataFrame) -> Kind | None:
    """Return a permutation: the codes are the same ones, with other meanings."""
    found = _mapping(cells)
    if found is None or len(found[0]) < 2 or set(found[0]) != set(found[0].values()):
        return None
    return Kind(name="encoding swap", reason=f"categories are exchanged: {_told(found[0])}", share=found[1])


def _recoded(cells: pl.DataFrame) -> Kind | None:
    """Return a renaming: each value became one other. Of many a few may have become the same, as zones of one name."""
    found = _mapping(cells)
    if found is None:
        return None
    values = len(found[0])
    merged = values - len(set(found[0].values()))
    if merged > (1 - EXPLAINED) * values:
        return None
    also = f"; {values} values became {values - merged}" if merged else ""
    return Kind(name="recoding", reason=f"each value is another one: {_told(found[0])}{also}", share=found[1])


def _told(mapping: dict[object, object]) -> str:
    shown_ones = [f"{shown(before)} is {shown(after)}" for before, after in list(mapping.items())[:4]]
    more = f" and {len(mapping) - 4} more" if len(mapping) > 4 else ""
    return ", ".join(shown_ones) + more


def _ratio(cells: pl.DataFrame) -> Kind | None:
    one, two = _numbers(cells)
    some = one != 0
    if len(np.unique(one[some])) < 2:
        return None
    factor = float(np.median(two[some] / one[some]))
    share = float(np.mean(_near(two, one * factor)))
    if factor in (0.0, 1.0) or not np.isfinite(factor):
        return None
    told = f"{factor:.6g}" if abs(factor) >= 1 else f"1/{1 / factor:.6g}"
    return Kind(name="unit change", reason=f"serving is {told} times training", share=share)


def _line(cells: pl.DataFrame) -> Kind | None:
    one, two = _numbers(cells)
    low, high = np.quantile(one, [0.1, 0.9], method="nearest") if len(one) else (0.0, 0.0)
    if len(np.unique(one)) < _FEW or low == high:
        return None
    ends = [float(np.median(two[one == end])) for end in (low, high)]
    slope = (ends[1] - ends[0]) / (high - low)
    start = ends[0] - slope * low
    if abs(slope) < 1e-12 or not np.isfinite(start):
        return None
    share = float(np.mean(_near(two, slope * one + start)))
    if abs(slope - 1) < 1e-9:
        return Kind(name="offset", reason=f"serving is training {start:+.6g}", share=share)
    return Kind(name="unit change", reason=f"serving is {slope:.6g} times training {start:+.6g}", share=share)


def _numbers(cells: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return both sides where both are finite."""
    sides = [cells[name].cast(pl.Float64, strict=False).to_numpy() for name in (TRAINING, SERVING)]
    finite = np.isfinite(sides[0]) & np.isfinite(sides[1])
    return sides[0][finite], sides[1][finite]


def _near(found: Floats, expected: Floats) -> NDArray[np.bool_]:
    return np.abs(found - expected) <= 1e-6 * np.maximum(np.abs(found), np.abs(expected))


def _truncated(cells: pl.DataFrame) -> Kind | None:
    for whole, cut, side in ((_A, _B, "serving"), (_B, _A, "training")):
        share = _share(cells, whole.str.starts_with(cut) & (cut.str.len_chars() > 0))
        if share >= EXPLAINED:
            length = cells.select(cut.str.len_chars().max()).item()
            reason = f"{side} has the texts cut off, after {length} characters at most"
            return Kind(name="truncated text", reason=reason, share=share)
    return None


def _spelling(cells: pl.DataFrame) -> Kind | None:
    forms = (
        ("white space", lambda text: text.str.strip_chars()),
        ("letter case", lambda text: text.str.to_lowercase()),
        ("white space and letter case", lambda text: text.str.strip_chars().str.to_lowercase()),
    )
    for words, form in forms:
        share = _share(cells, form(_A) == form(_B))
        if share >= EXPLAINED:
            return Kind(name="spelling", reason=f"the texts differ in {words} alone", share=share)
    return None


def _stale(cells: pl.DataFrame) -> Kind | None:
    """Return values that the entity had at an earlier time."""
    if EARLIER not in cells.columns or cells[SERVING].n_unique() < _FEW:
        return None
    known = cells.filter(pl.col(EARLIER).is_not_null())
    reason = "serving has a value that the same entity had in training at an earlier time"
    return Kind(name="stale lookup", reason=reason, share=_share(known, pl.col(EARLIER)))
