"""Owns the check of how good the predictions of an asset will turn out, before their labels come."""

from collections.abc import Sequence
from typing import Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.rows import Rows, frame_of
from assets.expected import expected_metadata, judge_expectation
from assets.told import Told, of_finding
from quality.gate import Gate
from quality.metrics import common_task
from resources.names import choose


def expected_check(
    asset: Asset,
    *,
    labelled: "Rows | pl.DataFrame",
    label: str,
    prediction: str,
    metric: str,
    margin: float,
    unit: str = "",
    features: Sequence[str] | None = None,
    confidence: float = 0.95,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that a metric will be as good as on labelled rows, which no label of the partition is needed for.

    It warns where the metric is worse by more than the margin with certainty; see `quality.label_free`.

    Args:
        asset: Asset with predictions, or its key.
        labelled: Rows with label and prediction of the same model that it did not learn from, or a function of the
            partition key that returns them.
        label: Column of the label in the labelled rows.
        prediction: Column of the prediction on both sides; of the probability of 1 where labels are 0 and 1.
        metric: Such as "mae", "rmse", "auc", "log_loss"; it tells the task.
        margin: Tolerated worsening, in units of the metric.
        unit: Unit of the metric, for the reason.
        features: Columns whose range the partition must not leave; None takes all numbers that both sides have.
        confidence: Two-sided confidence of the interval.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If the metric is unknown, a number out of range, or an option wrong.
    """
    gate = Gate.parse({"metric": metric, "margin": margin, "unit": unit, "confidence": confidence})
    task = common_task([metric])

    def judge(look: Look) -> Told:
        from resources.label_free import expect, learned_from

        given = labelled(look.partition) if callable(labelled) else labelled
        before, rows = frame_of(given, of=f"labelled rows of {look.asset}"), look.frame()
        for name in (prediction, *(features or ())):
            choose(f"expected: columns of {look.asset}", name, rows.columns)
        both = [name for name in before.columns if name in rows.columns and name not in (label, prediction)]
        names = both if features is None else list(features)
        learned = learned_from(
            before,
            label=label, prediction=prediction, features=names, task=task, where="the labelled rows",
        )  # fmt: skip
        made = rows[prediction].cast(pl.Float64).to_numpy()
        found = expect(learned, made, rows.select(names), confidence=confidence)
        return of_finding(
            judge_expectation(found, learned, gate, where=look.where), expected_metadata(found, learned, gate)
        )

    defaults = Defaults(name="expected", description=f"The {metric} is expected to be as good as on labelled rows.")
    return build_check(asset, judge, defaults, options)
