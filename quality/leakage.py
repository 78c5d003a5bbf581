"""Owns the search for features that tell the label by themselves, which in a new partition is a leak until explained.

A leak shines in training and is dark in production, where the label is not known yet.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from quality.readable import require_plain
from quality.verdicts import Finding
from quality.wording import type_name
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name

_TEXTS = (pl.String, pl.Categorical, pl.Enum)
MAX_CATEGORIES = 100
"""Texts with more distinct values than this are keys: the few rows of each tell their label by chance."""


def single_feature_auc(frame: pl.DataFrame, label: str, columns: Sequence[str] | None = None) -> dict[str, float]:
    """Return for each feature how well it alone tells a label of two values: area under the ROC curve, from 0.5 to 1.

    Numbers are ranked as they are, missing ones left out; texts by the share of positive labels among the rows with
    that text, missing ones as a text of their own.

    Args:
        frame: Rows with the label.
        label: Column of booleans, or of two numbers or texts; rows whose label is null or NaN are left out.
        columns: Features; None takes all numeric, boolean, text and categorical columns.

    Raises:
        DeclarationError: If a column is missing.
        ContractError: If the label has more than two values or is of another type, or the name of a column is a
            pattern.
    """
    names = [name for name in frame.columns if name != label] if columns is None else list(columns)
    for name in (label, *names):
        if name not in frame.columns:
            raise DeclarationError(unknown_name("column", name, frame.columns))
    require_plain("the rows", frame.schema, objects=True)
    kind = frame.schema[label]
    if not (kind.is_numeric() or isinstance(kind, (pl.Boolean, pl.Null, *_TEXTS))):
        raise ContractError(f"label {label!r} is {type_name(kind)}: cast it to booleans, or to two numbers")
    known = frame.filter((pl.col(label).fill_nan(None) if kind.is_float() else pl.col(label)).is_not_null())
    values = known.get_column(label).unique().sort().to_list()
    if len(values) > 2:
        some = ", ".join(f"{value!r:.40}" for value in values[:3])
        raise ContractError(
            f"label {label!r} has {len(values)} values or more, such as {some}; expected two: name another"
        )
    if len(values) < 2:
        return {}
    positive = (known.get_column(label) == values[1]).cast(pl.Float64)
    scores = {name: _score(known.get_column(name), positive) for name in names}
    return {name: _auc(score, positive) for name, score in scores.items() if score is not None}


def judge_leakage(
    current: Mapping[str, float], past: Sequence[Mapping[str, float]], *, suspicious: float = 0.95, rise: float = 0.1
) -> list[Finding]:
    """Warn of features that tell the label alone better than `suspicious`, or by `rise` better than ever before.

    Args:
        current: Feature to area under the ROC curve in the new partition.
        past: The same of earlier partitions.
        suspicious: Largest area that needs no explanation; ignored for features that always had a larger one.
        rise: Tolerated rise above the largest area of the past.
    """
    found: list[Finding] = []
    for name, area in current.items():
        most = max((of[name] for of in past if name in of), default=None)
        if area > (max(suspicious, most or 0.0)) or (most is not None and area > most + rise):
            before = "" if most is None else f", {most:.3f} at most before"
            reason = f"{name} alone tells the label with an AUC of {area:.3f}{before}: does it know the outcome?"
            numbers = {"column": name, "auc": area, "past": most}
            found.append(Finding(check="leak", verdict="warn", reason=reason, numbers=numbers))
    return found


def _score(values: pl.Series, positive: pl.Series) -> pl.Series | None:
    """Return a number by which the rows are ranked, or None for a column that has none."""
    kind = values.dtype
    if kind.is_numeric():
        numbers = values.cast(pl.Float64).fill_nan(None)
        return numbers if numbers.null_count() < len(numbers) else None
    if not isinstance(kind, (pl.Boolean, *_TEXTS)):
        return None
    text = values.cast(pl.String).fill_null("\0")
    if text.n_unique() > min(MAX_CATEGORIES, max(2, len(text) // 20)):
        return None
    shares = pl.DataFrame({"text": text, "positive": positive})
    return shares.select(pl.col("positive").mean().over("text")).to_series()


def _auc(score: pl.Series, positive: pl.Series) -> float:
    """Return the area by the mean rank of positives (Mann and Whitney, 1947), whichever way the feature points."""
    present = score.is_not_null()
    ranks = score.filter(present).rank("average").to_numpy()
    ones = positive.filter(present).to_numpy() > 0
    pairs = int(ones.sum()) * int((~ones).sum())
    if not pairs:
        return 0.5
    area = (float(ranks[ones].sum()) - ones.sum() * (ones.sum() + 1) / 2) / pairs
    return float(np.maximum(area, 1 - area))
