"""Owns the finding of rows that came before: in the partition itself, or in an earlier one.

Each partition leaves a sketch of its rows behind: the smallest digests of them (bottom-k sketch: Broder, 1997; Cohen
and Kaplan, 2007). Two sketches tell what share of the rows both partitions hold, with no second look at the data.
Sketches are compared within one release of Polars, whose hash changes between releases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality import wording
from quality.distributions import wilson_interval
from quality.readable import require_plain
from quality.verdicts import Finding
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name

SIZE = 8_192
"""Digests kept of a partition, 64 KB: a share is told to 1 / sqrt(8,192), a hundredth, at worst."""
CONFIDENCE = 0.9999
"""One-sided confidence with which a share must exceed what is tolerated: one false alarm in 10,000 looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSketch:
    """What is kept of the rows of a partition.

    Attributes:
        columns: Columns that tell rows apart.
        rows: Number of rows.
        distinct: Number of distinct rows.
        digests: The smallest digests of distinct rows, in rising order, shape ``(min(SIZE, distinct),)``.
        engine: Release of Polars that made the digests.
    """

    columns: tuple[str, ...]
    rows: int
    distinct: int
    digests: NDArray[np.uint64]
    engine: str

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the sketch as a JSON value."""
        return {
            "columns": list(self.columns),
            "rows": self.rows,
            "distinct": self.distinct,
            "digests": [f"{digest:x}" for digest in self.digests.tolist()],
            "engine": self.engine,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RowSketch":  # Any: JSON values
        """Return the sketch that `to_json` wrote."""
        digests = np.array([int(text, 16) for text in value["digests"]], dtype=np.uint64)
        fields: dict[str, Any] = {**value, "columns": tuple(value["columns"]), "digests": digests}
        return cls(**fields)


def sketch_rows(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> RowSketch:
    """Return the sketch of the rows of `frame`.

    Args:
        frame: One partition.
        columns: Columns that tell rows apart: the key, or all but key and times, so that a copy under new keys shows;
            None takes all.

    Raises:
        DeclarationError: If a column is missing.
        ContractError: If one holds Python objects, or its name is a pattern.
    """
    names = frame.columns if columns is None else list(columns)
    for name in names:
        if name not in frame.columns:
            raise DeclarationError(unknown_name("column that tells rows apart", name, frame.columns))
    require_plain("the partition", {name: frame.schema[name] for name in names})
    distinct = np.unique(frame.select(names).hash_rows(seed=0).to_numpy())
    return RowSketch(
        columns=tuple(names),
        rows=frame.height,
        distinct=len(distinct),
        digests=distinct[:SIZE],
        engine=pl.__version__,
    )


def overlap(current: RowSketch, past: RowSketch) -> tuple[float, int]:
    """Return the share of distinct rows of `current` that `past` holds too, and of how many rows it was told.

    Below the smaller of both sketches' ends each has all its digests, so those are a random sample of the rows.

    Raises:
        ContractError: If the sketches are of other columns.
    """
    if current.columns != past.columns:
        raise ContractError(f"sketches of {list(current.columns)} and {list(past.columns)} cannot be compared")
    if current.engine != past.engine or not len(current.digests):
        return 0.0, 0
    ends = [side.digests[-1] for side in (current, past) if side.distinct > len(side.digests)]
    seen = current.digests if not ends else current.digests[current.digests <= min(ends)]
    return (float(np.isin(seen, past.digests).mean()) if len(seen) else 0.0), len(seen)


def judge_repeats(
    current: RowSketch, past: Mapping[str, RowSketch], *, tolerance: float = 0.001, what: str = "rows"
) -> list[Finding]:
    """Warn of rows that the partition holds twice, and of rows that an earlier one holds.

    Args:
        current: Sketch of the new partition.
        past: Earlier partition to its sketch over the same columns.
        tolerance: Largest tolerated share.
        what: What the columns tell apart, for the reason: "keys", "rows".
    """
    twice = 1 - current.distinct / current.rows if current.rows else 0.0
    within = f"{twice:.2%} of {wording.count(current.rows, 'row')} repeat {what} of the partition"
    found = [_finding("repeated within", within, share=twice, low=twice, tolerance=tolerance)]
    shares = {name: overlap(current, sketch) for name, sketch in past.items()}
    if shares:
        worst = max(shares, key=lambda name: shares[name][0])
        share, seen = shares[worst]
        reason = f"{share:.2%} of the {what} came before, in {worst}"
        found.append(
            _finding(
                "repeated from past",
                reason,
                share=share,
                low=wilson_interval(share, seen, confidence=CONFIDENCE)[0],
                tolerance=tolerance,
            )
        )
    return found


def _finding(check: str, reason: str, *, share: float, low: float, tolerance: float) -> Finding:
    numbers = {"share": share, "low": low, "tolerance": tolerance}
    verdict = "warn" if low > tolerance else "pass"
    return Finding(check=check, verdict=verdict, reason=f"{reason}, {tolerance:.2%} tolerated", numbers=numbers)
