"""Owns what the web UI shows of the loaders of a training: numbers under stable keys, and where the time went.

The numbers are of the run that trained the model; a run that finds the model made shows the same. They decide nothing.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg


def loading_metadata(loading: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON values, Dagster metadata values
    """Return speed, stalls and first batch of what `resources.training.train` tells, with one picture.

    Args:
        loading: Fields of `Loading`, and `training_s`; empty where a model was trained before they were counted.
    """
    from quality.pictures import bar_chart

    if not loading or not loading["training_s"]:
        return {}
    elapsed_s, training_s = loading["elapsed_s"], loading["training_s"]
    shares = {
        "waiting for rows": loading["waited_s"] / training_s,
        "transforming and learning": max(0.0, 1 - loading["waited_s"] / training_s),
        "copying rows, beside": loading["gathered_s"] / training_s,
    }
    return {
        "loader_rows_per_s": _rate(loading["rows"], elapsed_s),
        "loader_gb_per_s": _rate(loading["size_bytes"] / 1e9, elapsed_s),
        "loader_stall_percent": 100 * _rate(loading["waited_s"], elapsed_s),
        "loader_first_batch_s": float(loading["first_batch_s"]),
        "loader_passes": int(loading["passes"]),
        "training_s": float(training_s),
        "loader_picture": dg.MetadataValue.md(
            bar_chart("Where the time of training went", shares, unit="share of training time")
        ),
    }


def _rate(amount: float, elapsed_s: float) -> float:
    return amount / elapsed_s if elapsed_s else 0.0
