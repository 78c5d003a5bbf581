"""Owns the adapters of the two later places: the gate over judged predictions, and the skew of served features."""

import numpy as np
import polars as pl
from _verdicts_alarms import LABEL, Alarm

from quality.evaluation import evaluate
from quality.gate import Gate, judge

GATE = Gate.model_validate(
    {
        "metric": "log_loss",
        "margin": 0.02,
        "limits": {"auc": {"minimum": 0.70, "maximum": 0.90}, "bias": {"minimum": -0.06, "maximum": 0.06}},
    }
)
SERVED_KEYS = ("order_id",)
ULPS = 4


def gate_alarms(frame: pl.DataFrame) -> list[Alarm]:
    """Return what the gate blocks for; a limit or a champion that is merely in doubt is no alarm."""
    label = frame.get_column(LABEL).cast(pl.Float64).to_numpy()
    models = {
        "challenger": frame.get_column("prediction").to_numpy(),
        "champion": frame.get_column("champion").to_numpy(),
        "baseline": np.full(len(label), 0.27),
    }
    evaluation = evaluate(label, models, metrics=GATE.metrics, task="binary", seed=1, resamples=500)
    columns = (LABEL, "prediction")
    return [
        Alarm(name=f"gate {found.check}", columns=columns, verdict="block", reason=found.reason)
        for found in judge(evaluation, GATE).findings
        if found.verdict == "block"
    ]


def skew_alarms(training: pl.DataFrame, serving: pl.DataFrame) -> list[Alarm]:
    """Return the columns that serving computes otherwise than training, and the kinds of skew that were recognised."""
    from quality.skew import SkewRule, skew

    report = skew(training, serving, SkewRule(keys=SERVED_KEYS, ulps=ULPS, unpaired=1.0))
    blocked = [finding for finding in report.findings if finding.verdict == "block"]
    found: list[Alarm] = []
    for column in report.columns:
        if column.mismatch.low > 0.001:
            names = [kind.name for kind in column.kinds] or ["unnamed"]
            reason = f"{column.column}: {column.mismatch.share:.2%} of cells differ: {', '.join(names)}"
            found += [
                Alarm(name=f"skew {name}", columns=(column.column,), verdict="block", reason=reason) for name in names
            ]
    if blocked and not found:
        found.append(Alarm(name="skew rows", columns=(), verdict="block", reason=blocked[0].reason))
    return found
