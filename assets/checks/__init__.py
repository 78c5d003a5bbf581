"""Owns checks for any Dagster project: each factory here makes an ordinary, partition-aware asset check.

    contract     rows are what a contract says
    suite        a Great Expectations suite holds
    freshness    the newest row is near the end of its partition
    drift        no column, or no combination of columns, is distributed otherwise than in a reference
    history      rows, nulls, traits and any number are as the asset's own past predicts
    detectors    repeated rows, dependence between columns, leakage of the label, keys that point nowhere
    expected     a metric before its labels come
    skew         serving computes what training computed

They need no store, no settings and no pipeline of Penstock's. The checks of Penstock's own stages are
`assets.stage_checks`, `assets.history` and `assets.expected`; both tell what they found by the same functions.
"""

from assets.checks.building import CheckOptions
from assets.checks.contract import contract_check
from assets.checks.detectors import dependence_check, leakage_check, references_check, repeats_check
from assets.checks.drift import drift_check, multivariate_drift_check
from assets.checks.expected import expected_check
from assets.checks.freshness import freshness_check
from assets.checks.history import Recorded, history_check, recorded_history_check, traits_check
from assets.checks.rows import rows_at
from assets.checks.skew import skew_asset, skew_check
from assets.checks.suite import suite_check
from assets.history import History, Watched

__all__ = [
    "CheckOptions",
    "History",
    "Recorded",
    "Watched",
    "contract_check",
    "dependence_check",
    "drift_check",
    "expected_check",
    "freshness_check",
    "history_check",
    "leakage_check",
    "multivariate_drift_check",
    "recorded_history_check",
    "references_check",
    "repeats_check",
    "rows_at",
    "skew_asset",
    "skew_check",
    "suite_check",
    "traits_check",
]
