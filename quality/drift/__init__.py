"""Drift: which columns of a batch are distributed otherwise than in a reference, told with known error rates."""

from quality.drift.compare import benjamini_hochberg, drift, past_effects
from quality.drift.past import Past
from quality.drift.results import ColumnDrift, Statistic
from quality.drift.statistics import STATISTICS, statistics

__all__ = [
    "STATISTICS",
    "ColumnDrift",
    "Past",
    "Statistic",
    "benjamini_hochberg",
    "drift",
    "past_effects",
    "statistics",
]
