"""Owns whether the same probability of one classifier means the same on later labelled rows as on earlier ones.

It needs no rows: the recalibration maps of both, with their covariances, are kept of every labelled sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality import wording
from quality.distributions import fisher_tail
from quality.label_free.classification import ClassifierModel
from quality.label_free.recalibration import IDENTITY, Recalibration

Floats = NDArray[np.float64]
FALSE_ALARM = 0.01
"""Probability of a finding on a sample whose probabilities mean what they meant (benchmarks/label_free.py)."""
TOLERATED = 0.02
"""Mean change of what a probability means that is no finding, however certain."""
MIN_CLUSTERS = 6
"""Fewer groups of rows do not tell how far their sums scatter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationDrift:
    """How what probabilities mean has changed.

    Attributes:
        samples: Earlier samples compared with.
        p: Probability of maps as different, were they alike.
        moved: Mean absolute change of the recalibrated probability, over the probabilities of all samples.
        probability: The probability whose meaning changed most, weighted by its rows.
        before: What it meant: the share of ones among such rows.
        after: What it means now.
    """

    samples: int
    p: float
    moved: float
    probability: float
    before: float
    after: float

    @property
    def found(self) -> bool:
        """Whether it is certain and more than tolerated: both keys are needed."""
        return self.p < FALSE_ALARM and self.moved > TOLERATED

    @property
    def reason(self) -> str:
        """Both keys in words."""
        told = wording.count(self.samples, "earlier partition")
        most = f"{self.probability:.2f} meant {self.before:.2f} there and {self.after:.2f} here"
        return (
            f"the same probability means {self.moved:.3f} more or less than on {told}, on average "
            f"({TOLERATED:g} tolerated; chance {wording.probability(self.p)}, budget {FALSE_ALARM:g}); most: {most}"
        )


def calibration_drift(before: Sequence[ClassifierModel], after: ClassifierModel) -> CalibrationDrift | None:
    """Return whether probabilities of one classifier mean the same in a labelled sample as in earlier ones.

    The maps of earlier samples are pooled by their precision. The statistic is Hotelling's (1931) of the difference of
    coefficients, its law F with as many degrees as the sample with fewest clusters allows: with the chi-square law of
    Wald (1943) a month of days is found to differ two to three times as often as stated, a week of days 17 times.

    Args:
        before: What earlier labelled samples taught (`fit_classifier`).
        after: What the sample taught that is judged.

    Returns:
        None where no earlier sample, or not this one, has 6 clusters.
    """
    known = [item for item in before if item.recalibration.clusters >= MIN_CLUSTERS]
    least = min(item.recalibration.clusters for item in (*known, after))
    if not known or least < MIN_CLUSTERS:
        return None
    pooled, spread = _pooled([item.recalibration for item in known])
    difference = pooled - np.array(after.recalibration.coefficients)
    total = spread + np.array(after.recalibration.covariance)
    statistic = float(difference @ np.linalg.pinv(total) @ difference)
    count, freedom = len(IDENTITY), least - len(IDENTITY)
    p = fisher_tail(statistic * freedom / (count * (least - 1)), count, freedom)
    earlier = Recalibration(coefficients=tuple(pooled.tolist()), covariance=(), dispersion=1.0)
    bins = [one for item in (*known, after) for one in item.calibration.bins]
    probability = np.array([one.predicted for one in bins])
    weights = np.array([one.rows for one in bins]) / sum(one.rows for one in bins)
    was, now = earlier.apply(probability), after.recalibration.apply(probability)
    most = int(np.argmax(weights * abs(was - now)))
    return CalibrationDrift(
        samples=len(known),
        p=p,
        moved=float((weights * abs(was - now)).sum()),
        probability=float(probability[most]),
        before=float(was[most]),
        after=float(now[most]),
    )


def _pooled(maps: Sequence[Recalibration]) -> tuple[Floats, Floats]:
    """Return the mean of coefficients weighted by their precision, and its covariance."""
    precisions = [np.linalg.pinv(np.array(item.covariance)) for item in maps]
    spread = np.linalg.pinv(np.sum(precisions, axis=0))
    weighted = [precision @ np.array(item.coefficients) for precision, item in zip(precisions, maps, strict=True)]
    return spread @ np.sum(weighted, axis=0), spread
