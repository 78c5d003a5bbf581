"""Owns what an estimate without labels returns: metrics with intervals, or the reason why there are none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.measurements import Estimate
from resources.errors import ContractError, DeclarationError

MIN_ROWS = 100
"""Fewer rows say too little, with labels or without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is expected of a model on rows without labels.

    Attributes:
        rows: Rows judged.
        metrics: Metric to its expected value, and the interval in which it will lie once labels come; empty if
            `abstains`.
        confidence: Two-sided confidence of the intervals.
        abstains: Why nothing is said, or empty.
        outside: Share of the rows that leave the range of the labelled ones.
        leaving: The column that most of them leave, in words, or empty.
        past: Past estimates that the intervals were widened by; 0 if by none.
    """

    rows: int
    metrics: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    confidence: float
    abstains: str = ""
    outside: float = 0.0
    leaving: str = ""
    past: int = 0

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the expectation as a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Expectation":  # Any: JSON values
        """Return the expectation that `to_json` wrote."""
        fields: dict[str, Any] = dict(value)
        fields["metrics"] = {name: Estimate(**one) for name, one in value["metrics"].items()}
        return cls(**fields)


def check_share(name: str, value: float, *, ends: bool = False) -> None:
    """Refuse a number that does not lie between 0 and 1; `ends` allows both.

    Raises:
        DeclarationError: Naming the value.
    """
    if not (0 <= value <= 1 if ends else 0 < value < 1):
        raise DeclarationError(f"{name} is {value}: it lies between 0 and 1, such as {0.5 if ends else 0.95}")


def as_numbers(what: str, values: object) -> NDArray[np.float64]:
    """Return `values` as an array of numbers.

    Raises:
        ContractError: If they are none.
    """
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ContractError(f"{what} are no numbers ({error}): encode them as numbers") from error


def rounded(value: Any) -> Any:  # Any: nested lists of numbers
    """Return numbers with 9 digits, so that the order of additions, which threads choose, changes nothing."""
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}")
