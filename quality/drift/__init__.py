"""Drift: which columns of a batch are distributed otherwise than in a reference, told with known error rates."""

from quality.drift.compare import benjamini_hochberg, drift, past_effects
from quality.drift.gross import GROSS, gross_changes
from quality.drift.multivariate import MultivariateDrift, multivariate_drift
from quality.drift.past import MIN_PAIRS, Past, usual_area
from quality.drift.results import ColumnDrift, Statistic
from quality.drift.statistics import STATISTICS, statistics

__all__ = [
    "GROSS",
    "MIN_PAIRS",
    "STATISTICS",
    "ColumnDrift",
    "MultivariateDrift",
    "Past",
    "Statistic",
    "benjamini_hochberg",
    "drift",
    "gross_changes",
    "multivariate_drift",
    "past_effects",
    "statistics",
    "usual_area",
]
