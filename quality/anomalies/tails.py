"""Owns how far from a prediction values fall: a grid of Student laws of different widths and tails.

The weight of each law is how well it foretold the errors before, by Bayes' rule. Few or wild errors leave weight on
wide laws with heavy tails, many tame ones on narrow ones, so that "how rare is this error" has an answer for normal
noise and for noise whose variance is infinite. Errors are told in units of the tolerated change.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DEGREES = (2, 3, 5, 10, 40)
"""Degrees of freedom; whole numbers have closed forms. Two have no variance, forty are nearly normal."""
BELIEF = (0.02, 0.08, 0.15, 0.15, 0.6)
"""Weight of each before any error was seen: wild noise is rarer than tame, and has to show itself."""
WIDTHS: Floats = np.geomspace(1 / 50, 20, 18)
"""Noise narrower than a fiftieth of what is tolerated, or twenty times wider, need not be told apart."""
LAWS = len(DEGREES) * len(WIDTHS)
PRIOR: Floats = np.repeat(np.log(BELIEF), len(WIDTHS))
"""Log weight of each law before any error was seen, up to a constant, shape ``(LAWS,)``."""
_STEPS = 32
"""Halvings of the interval in which a quantile lies: to 2e-10 of its width."""


def log_densities(errors: Floats) -> Floats:
    """Return the log density of each error under each law, shape ``errors.shape + (LAWS,)``."""
    squares = (errors[..., None] / WIDTHS) ** 2
    parts = [_log_constant(n) - (n + 1) / 2 * np.log1p(squares / n) - np.log(WIDTHS) for n in DEGREES]
    return np.concatenate(parts, axis=-1)


def below(errors: Floats) -> Floats:
    """Return the probability of a smaller error under each law, shape ``errors.shape + (LAWS,)``."""
    scaled = errors[..., None] / WIDTHS
    return np.concatenate([_student_below(scaled, n) for n in DEGREES], axis=-1)


def quantiles(centres: Floats, weights: Floats, probability: Floats) -> Floats:
    """Return the quantile of each mixture, shape ``(mixtures,)``.

    Args:
        centres: Where the laws of each mixture are centred, shape ``(mixtures, predictions)``.
        weights: Weight of each law around each of them, shape ``(mixtures, predictions, LAWS)``, adding up to 1.
        probability: Of the quantile wanted, shape ``(mixtures,)``.
    """
    # Beyond this the widest law with the heaviest tails leaves less than the probability asked for.
    reach = WIDTHS[-1] / np.sqrt(2 * np.minimum(probability, 1 - probability))
    low, high = centres.min(axis=1) - reach, centres.max(axis=1) + reach
    for _ in range(_STEPS):
        middle = (low + high) / 2
        under = (weights * below(middle[:, None] - centres)).sum(axis=(1, 2)) < probability
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return (low + high) / 2


def _log_constant(degrees: int) -> float:
    return math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2  # Student (1908)


def _student_below(values: Floats, degrees: int) -> Floats:
    """Return P(T < value), by Abramowitz and Stegun (1964), 26.7.3-4."""
    angle = np.arctan(values / math.sqrt(degrees))
    sine, cosine = np.sin(angle), np.cos(angle)
    if degrees == 1:
        return 0.5 + angle / math.pi
    term = cosine if degrees % 2 else np.ones_like(values)
    total = term
    squared = cosine * cosine
    for k in range(2 + degrees % 2, degrees - 1, 2):
        term = term * squared * ((k - 1) / k)
        total = total + term
    return 0.5 + ((angle + sine * total) / math.pi if degrees % 2 else sine * total / 2)
