"""Owns the one pass over a history: predict each value from those before it, say how rare its error is, learn.

The errors of predictions one step ahead are alike for noise, seasons, trends and drifting levels, which is why their
law is learned rather than that of the values (prequential: Dawid, 1984). A value that raised an alarm is left out of
what is learned, until `patience` of them in a row make it the new level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.anomalies.predictors import Predictors, Seasonal
from quality.anomalies.tails import PRIOR, below, log_densities, quantiles

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a value raises an alarm.

    Attributes:
        alpha: Probability of a false alarm that one look may spend, shape ``(series,)``.
        upper_only: Whether only large values are odd, shape ``(series,)``.
        warm_up: Earlier values without which none teaches how large errors are: seasons are unknown before.
        minimum: Earlier values without which none is judged.
        patience: Alarms in a row after which the new level counts as usual.
        levels: Spans of the moving medians.
    """

    alpha: Floats
    upper_only: Bools
    warm_up: int
    minimum: int
    patience: int
    levels: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the pass found; all of shape ``(series, partitions)`` unless said otherwise, in units of the tolerance.

    Attributes:
        centre: What the past predicts; NaN before anything is known.
        alarm: Values that are rarer than their budget and further from the centre than tolerated.
        past: Earlier values that were known.
        low: Lower end of what is usual, shape ``(series, kept)`` for the last `kept` partitions; NaN where not judged.
        high: Upper end of it.
        probability: Probability of a value as far out, of the last partition, shape ``(series,)``.
    """

    centre: Floats
    alarm: Bools
    past: NDArray[np.int64]
    low: Floats
    high: Floats
    probability: Floats


def scan(values: Floats, seasons: Sequence[Seasonal], rule: Rule, *, keep: int = 0) -> Scan:
    """Judge every value of `values` by those before it.

    Args:
        values: In units of the tolerated change, oldest first, NaN where unknown, shape ``(series, partitions)``.
        seasons: Seasons of which nothing is known yet.
        rule: When a value raises an alarm.
        keep: For how many of the last partitions the band of usual values is wanted.
    """
    series, length = values.shape
    predictors = Predictors(levels=rule.levels, seasons=seasons)
    known = np.isfinite(values)
    past = np.concatenate([np.zeros((series, 1), np.int64), known.cumsum(axis=1)[:, :-1]], axis=1)
    learned = values.copy()
    belief = np.tile(PRIOR, (series, predictors.count, 1))
    run = np.zeros(series, np.int64)
    centre, alarm = np.full((series, length), np.nan), np.zeros((series, length), bool)
    low, high = np.full((series, keep), np.nan), np.full((series, keep), np.nan)
    probability = np.ones(series)
    for at in range(1, length):
        predicted = predictors.predict(learned, at)
        ready = ~np.isnan(predicted.sum(axis=1))
        if not ready.any():
            predictors.learn(learned, at)
            continue
        weights = _weights(belief)
        guess = np.where(ready, (weights.sum(axis=2) * np.where(ready[:, None], predicted, 0.0)).sum(axis=1), np.nan)
        centre[:, at] = guess
        judged = ready & (past[:, at] >= rule.minimum)
        looked = judged & known[:, at] & np.greater(np.abs(values[:, at] - guess), 1)
        last = at == length - 1
        wanted = judged & known[:, at] if last else looked
        rare = _rarity(values[wanted, at], predicted[wanted], weights[wanted], upper_only=rule.upper_only[wanted])
        alarm[wanted, at] = looked[wanted] & (rare < rule.alpha[wanted])
        if last:
            probability[wanted] = rare
        place = at - (length - keep)
        if place >= 0 and judged.any():
            low[judged, place], high[judged, place] = _band(
                predicted[judged], weights[judged], guess[judged], alpha=rule.alpha[judged],
                upper_only=rule.upper_only[judged],
            )  # fmt: skip
        run = _settle(learned, values, alarm, run, at, patience=rule.patience)
        taught = ready & known[:, at] & ~alarm[:, at] & (past[:, at] >= rule.warm_up)
        belief[taught] += log_densities(values[taught, at, None] - predicted[taught])
        predictors.learn(learned, at)
    return Scan(centre=centre, alarm=alarm, past=past, low=low, high=high, probability=probability)


def _weights(belief: Floats) -> Floats:
    flat = belief.reshape(len(belief), -1)
    weights = np.exp(flat - flat.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)).reshape(belief.shape)


def _rarity(values: Floats, predicted: Floats, weights: Floats, *, upper_only: Bools) -> Floats:
    """Return the probability of values as far out, on both sides or above only."""
    under = (weights * below(values[:, None] - predicted)).sum(axis=(1, 2))
    over = np.clip(1 - under, 0, 1)
    return np.where(upper_only, over, np.minimum(1.0, 2 * np.minimum(np.clip(under, 0, 1), over)))


def _band(
    predicted: Floats, weights: Floats, guess: Floats, *, alpha: Floats, upper_only: Bools
) -> tuple[Floats, Floats]:
    """Return the ends between which no value raises an alarm: rare enough, and further from the centre than 1."""
    tail = np.where(upper_only, alpha, alpha / 2)
    high = np.maximum(quantiles(predicted, weights, 1 - tail), guess + 1)
    low = np.minimum(quantiles(predicted, weights, tail), guess - 1)
    return np.where(upper_only, -np.inf, low), high


def _settle(
    learned: Floats, values: Floats, alarm: Bools, run: NDArray[np.int64], at: int, *, patience: int
) -> NDArray[np.int64]:
    """Leave an alarm out of what is learned, and take it in with those before it once they are a level of their own."""
    run = np.where(alarm[:, at], run + 1, 0)
    learned[alarm[:, at], at] = np.nan
    for which in np.flatnonzero(run >= patience):
        learned[which, at - patience + 1 : at + 1] = values[which, at - patience + 1 : at + 1]
    return run
