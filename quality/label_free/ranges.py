"""Owns whether rows leave the range of those that a model of the labels was fitted on: there it only guesses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import ContractError

Floats = NDArray[np.float64]
TOLERATED = 0.02
"""Share of rows that may lie outside: some always do, since the largest of new rows is now and then the largest yet."""


def beside(name: str, values: Floats, features: Mapping[str, Any] | None) -> dict[str, Floats]:
    """Return `values` and the features as columns of numbers.

    Args:
        name: What the values are called among the columns.
        values: Shape ``(rows,)``.
        features: Columns, each of shape ``(rows,)``; NaN is missing.

    Raises:
        ContractError: If a feature holds no numbers, or not one a row.
    """
    columns = {name: values}
    for feature, given in (features or {}).items():
        try:
            columns[feature] = np.asarray(given, np.float64)
        except (TypeError, ValueError) as error:
            raise ContractError(
                f"feature {feature!r} holds no numbers ({error}): encode it, or leave it out"
            ) from error
        if columns[feature].shape != values.shape:
            shape = columns[feature].shape
            raise ContractError(
                f"feature {feature!r} has shape {shape} for {len(values):,} rows: give one number a row"
            )
    return columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Range of each column; `missing` says whether it had missing values."""

    low: Mapping[str, float]
    high: Mapping[str, float]
    missing: Mapping[str, bool]

    @classmethod
    def of(cls, columns: Mapping[str, Floats]) -> "Ranges":
        """Return the ranges of `columns`, each of shape ``(rows,)``, NaN where missing."""
        known = {name: values[np.isfinite(values)] for name, values in columns.items()}
        return cls(
            low={name: float(values.min()) if len(values) else 0.0 for name, values in known.items()},
            high={name: float(values.max()) if len(values) else 0.0 for name, values in known.items()},
            missing={name: bool(len(known[name]) < len(values)) for name, values in columns.items()},
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Ranges":  # Any: JSON values
        """Return the ranges that `asdict` made a JSON value of."""
        return cls(**value)

    def outside(self, columns: Mapping[str, Floats]) -> tuple[float, str]:
        """Return the share of rows outside in any column, and the worst column in words.

        Raises:
            ContractError: If a column is missing.
        """
        if lost := sorted(set(self.low) - set(columns)):
            raise ContractError(f"column {lost[0]!r} is missing: score rows with all features of the labelled ones")
        shares: dict[str, float] = {}
        anywhere = np.zeros(len(next(iter(columns.values()), np.zeros(0))), bool)
        for name in self.low:
            values = columns[name]
            absent = ~np.isfinite(values)
            wrong = (values < self.low[name]) | (values > self.high[name]) | (absent & (not self.missing[name]))
            shares[name] = float(wrong.mean()) if len(wrong) else 0.0
            anywhere |= wrong
        worst = max(shares, key=lambda name: shares[name], default="")
        told = f"{worst!r} most, labelled rows had {self.low[worst]:.4g} to {self.high[worst]:.4g}" if worst else ""
        return (float(anywhere.mean()) if len(anywhere) else 0.0), told
