"""Owns the dependence between the columns of a partition, and the check that it is as strong as it always was.

Columns that are shuffled against the others, exchanged in some rows or joined to the wrong ones keep their own
distributions; what changes is what they tell about each other. All pairs are measured at once: columns are cut into
bins, and the tables of all pairs are one matrix product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.distributions import NORMAL, student_quantile
from quality.readable import require_plain
from quality.verdicts import Finding
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name

Floats = NDArray[np.float64]

BINS = 8
"""Bins of a numeric column; of texts the most frequent ones, the others are one more."""
MAX_ROWS = 50_000
"""Rows that are looked at, drawn at random: more tell dependence no better than partitions differ."""
FALSE_ALARM = 0.001
"""Nominal probability of a finding on a usual partition, over all pairs."""
MIN_PAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """How columns are cut into bins: numeric column to inner edges, text column to its most frequent values."""

    edges: Mapping[str, tuple[float, ...]]
    values: Mapping[str, tuple[str, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are cut, numeric ones first."""
        return (*self.edges, *self.values)


def cuts(reference: pl.DataFrame, *, columns: Sequence[str] | None = None) -> Cuts:
    """Return cuts that deal the rows of `reference` evenly; columns with a single bin are left out.

    Texts of which most are distinct, such as keys, are left out too: nothing depends on them.

    Raises:
        DeclarationError: If a column is missing.
        ContractError: If the name of a column is a pattern.
    """
    edges: dict[str, tuple[float, ...]] = {}
    values: dict[str, tuple[str, ...]] = {}
    names = reference.columns if columns is None else columns
    for name in names:
        if name not in reference.columns:
            raise DeclarationError(unknown_name("column of the reference", name, reference.columns))
    require_plain("the reference", reference.schema, objects=True)
    for name in names:
        column, kind = reference.get_column(name).drop_nulls(), reference.schema[name]
        if kind.is_numeric():
            numbers = column.cast(pl.Float64).to_numpy()
            numbers = numbers[np.isfinite(numbers)]
            inner = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS)) if len(numbers) else numbers
            if len(inner) and (inner[0] > numbers.min() or len(inner) > 1):
                edges[name] = tuple(inner.tolist())
        elif isinstance(kind, (pl.String, pl.Categorical, pl.Enum, pl.Boolean)) and len(column):
            # Renamed, since a column may be called "count"; sorted twice, so that equal counts have one order.
            counts = column.cast(pl.String).alias("value").value_counts()
            if 1 < counts.height <= len(column) / 2:
                frequent = counts.sort("count", "value", descending=[True, False]).head(BINS)
                values[name] = tuple(frequent.get_column("value").to_list())
    return Cuts(edges=edges, values=values)


def dependence(frame: pl.DataFrame, by: Cuts, *, seed: int = 0) -> dict[tuple[str, str], float]:
    """Return Cramér's V of every pair of columns, from 0 to 1, corrected for its bias (Bergsma, 2013).

    A missing value is a bin of its own. A column that `frame` lacks or has with another type is left out.

    >>> frame = pl.DataFrame({"a": ["x", "y"] * 50, "b": ["u", "v"] * 50})
    >>> dependence(frame, cuts(frame))
    {('a', 'b'): 1.0}
    """
    rows = frame if frame.height <= MAX_ROWS else frame.sample(MAX_ROWS, seed=seed)
    codes = {name: code for name in by.columns if (code := _codes(rows, name, by)) is not None}
    if rows.height < 2 or len(codes) < 2:
        return {}
    widths = {name: int(code.max()) + 1 for name, code in codes.items()}
    starts = dict(zip(widths, np.cumsum([0, *widths.values()]), strict=False))
    members = np.zeros((rows.height, sum(widths.values())), dtype=np.float32)
    for name, code in codes.items():
        members[np.arange(rows.height), starts[name] + code] = 1
    tables = (members.T @ members).astype(np.float64)

    def table(one: str, two: str) -> Floats:
        return tables[starts[one] : starts[one] + widths[one], starts[two] : starts[two] + widths[two]]

    return {pair: _cramers_v(table(*pair), rows.height) for pair in combinations(codes, 2)}


def _codes(frame: pl.DataFrame, name: str, by: Cuts) -> NDArray[np.int64] | None:
    if name not in frame.columns:
        return None
    column = frame.get_column(name)
    if name in by.edges:
        if not column.dtype.is_numeric():
            return None
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        edges = np.array(by.edges[name])
        return np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers)).astype(np.int64)
    known = {value: place for place, value in enumerate(by.values[name])}
    text = column.cast(pl.String)
    places = text.replace_strict(known, default=len(known), return_dtype=pl.Int64)
    return pl.select(pl.when(text.is_null()).then(len(known) + 1).otherwise(places)).to_series().to_numpy()


def _cramers_v(table: Floats, rows: int) -> float:
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    high, wide = table.shape
    if min(high, wide) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    phi = max(0.0, float(((table - expected) ** 2 / expected).sum()) / rows - (high - 1) * (wide - 1) / (rows - 1))
    side = min(high - (high - 1) ** 2 / (rows - 1), wide - (wide - 1) ** 2 / (rows - 1)) - 1
    return min(1.0, float(np.sqrt(phi / side))) if side > 0 else 0.0


def judge_dependence(
    current: Mapping[tuple[str, str], float],
    past: Sequence[Mapping[tuple[str, str], float]],
    *,
    rows: int,
    tolerance: float = 0.1,
) -> list[Finding]:
    """Warn of each pair whose dependence is further from its past than that past predicts, and than `tolerance`.

    The range is that of Student's law around the mean of past values, at `FALSE_ALARM` over all pairs. Upwards it
    reaches as far at least as chance takes independent columns of so many rows: V is cut at 0, so that past values of
    such pairs scatter too little.

    Args:
        current: Pair to Cramér's V of the new partition.
        past: The same of earlier partitions; with fewer than `MIN_PAST` nothing is judged.
        rows: Rows of the new partition.
        tolerance: Tolerated change of V.

    Raises:
        ContractError: If `tolerance` is not between 0 and 1.
    """
    if not 0 <= tolerance < 1:
        raise ContractError(f"tolerance of dependence is {tolerance}, it lies between 0 and 1")
    chance = _by_chance(min(rows, MAX_ROWS), FALSE_ALARM / 2 / max(1, len(current)))
    found: list[Finding] = []
    for pair, value in current.items():
        before = np.array([of[pair] for of in past if pair in of])
        if len(before) < MIN_PAST:
            continue
        factor = student_quantile(FALSE_ALARM / 2 / len(current), len(before) - 1)
        width = max(tolerance, factor * float(before.std(ddof=1)) * (1 + 1 / len(before)) ** 0.5)
        usual = float(before.mean())
        if value < usual - width or value > max(usual + width, (usual**2 + chance**2) ** 0.5):
            found.append(_finding(pair, value, usual, width))
    return sorted(found, key=lambda finding: -abs(finding.numbers["change"]))


def _by_chance(rows: int, tail: float) -> float:
    """Return the V that a pair of independent columns exceeds with probability `tail`, one of them with two bins.

    The chi-square quantile by Wilson and Hilferty (1931); of all tables up to `BINS` wide this one's V scatters most.
    """
    degrees = BINS
    cube = 1 - 2 / (9 * degrees) + NORMAL.inv_cdf(1 - tail) * (2 / (9 * degrees)) ** 0.5
    return ((degrees * cube**3 - degrees) / max(1, rows)) ** 0.5


def _finding(pair: tuple[str, str], value: float, usual: float, width: float) -> Finding:
    one, two = pair
    way = "depend less on each other" if value < usual else "depend more on each other"
    return Finding(
        check="dependence",
        verdict="warn",
        reason=f"{one} and {two} {way}: Cramér's V is {value:.2f}, usually {usual:.2f} ± {width:.2f}",
        numbers={"columns": list(pair), "value": value, "usual": usual, "width": width, "change": value - usual},
    )
