"""Owns how good the predictions of a scored file are expected to be, before its labels come."""

from typing import TYPE_CHECKING

import polars as pl

from pipelines.scoring import PREDICTION
from resources.label_free import expect, foretold, learned_of
from resources.training.bundle import Bundle
from resources.workspace import Workspace

if TYPE_CHECKING:
    from quality.label_free.expectation import Expectation

CONFIDENCE = 0.95


def expected(workspace: Workspace, bundle: Bundle, scored: pl.DataFrame) -> "Expectation | None":
    """Return what is expected of the predictions, or None where no report tells of the model.

    Args:
        workspace: Where the reports lie.
        bundle: The model.
        scored: Raw rows with the column `prediction`.
    """
    from quality.label_free.experience import with_experience

    pipeline = str(bundle.lineage["pipeline"])
    learned = learned_of(workspace.store, workspace.registry_name, pipeline, bundle.digest)
    if learned is None:
        return None
    predictions = scored[PREDICTION].to_numpy()
    rows = bundle.transform.rows(scored.drop(PREDICTION).lazy()).collect() if scored.height else scored
    past = foretold(workspace, pipeline, before=None, confidence=CONFIDENCE, keep=False)
    return with_experience(expect(learned, predictions, rows, confidence=CONFIDENCE), past)


def told(found: "Expectation | None") -> str:
    """Return the expectation in one line."""
    if found is None:
        return "how good they are is unknown: no report tells of this model"
    if found.abstains:
        return f"how good they are is not estimated: {found.abstains}"
    parts = [
        f"{name} {one.value:.4g} ({one.low:.4g} to {one.high:.4g})"
        for name, one in found.metrics.items()
        if one.value is not None
    ]
    return f"expected once labels come: {', '.join(parts)}"
