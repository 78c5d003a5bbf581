"""Owns the statistics of drift: name to function of two samples, each with the interval of its true value.

Intervals hold at any size of drift, none included. Of binned divergences they are normal with the bias and the variance
that noise alone gives taken into account: locally such a divergence is a multiple of a noncentral chi-square variable
(Morales, Pardo and Vajda, 1995), whose mean and variance are known, and the variance away from none is the delta
method's. The others rest on inequalities named at each.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from quality.distances import deviation, sampling_noise, total_variation
from quality.distributions import NORMAL
from quality.drift.pairs import Pair
from quality.drift.results import Statistic
from quality.profiles.counted import Floats

Name = Literal["ks", "js", "psi", "wasserstein", "chi_square", "tv"]
FLOOR = 1e-4
"""Smallest share of a bin where a logarithm is taken of it."""


def kolmogorov_smirnov(pair: Pair, confidence: float) -> Statistic | None:
    """Return the largest difference of the distribution functions, from 0 to 1.

    The interval is the measured distance plus and minus sqrt(ln(2 / (1 - confidence)) / 2 (1/n + 1/m)) (Dvoretzky,
    Kiefer and Wolfowitz; Massart, 1990; two samples: Wei and Dudley, 2012), and what the sketches may misstate.
    """
    steps = pair.steps
    if steps is None:
        return None
    gaps = np.maximum(np.abs(np.diff(steps.below, axis=0)[0]), np.abs(np.diff(steps.upto, axis=0)[0]))
    # Infinities below all points: the first share below tells of them already; above all: the last share up to.
    value = float(gaps.max(initial=0.0))
    sure = float((gaps - steps.doubt).max(initial=0.0))
    width = math.sqrt(math.log(2 / (1 - confidence)) / 2 * (1 / pair.sizes[0] + 1 / pair.sizes[1]))
    return Statistic(value=value, low=max(0.0, sure - width), high=min(1.0, value + steps.error + width))


def wasserstein(pair: Pair, confidence: float) -> Statistic | None:
    """Return the area between the distribution functions, in the unit of the column; infinities are left out.

    Noise adds at most sqrt(2 / pi) times the area under its standard deviation, sqrt(F(1-F)/n + G(1-G)/m) (Bobkov and
    Ledoux, 2019, section 3), and the measured area varies by at most sqrt(var/n + var/m), since a value that moves by
    one moves it by 1/n at most (Efron and Stein, 1981).
    """
    steps = pair.steps
    if steps is None or len(steps.points) == 0 or pair.spreads is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.diff(steps.points)
        start, end = steps.upto[1, :-1] - steps.upto[0, :-1], steps.below[1, 1:] - steps.below[0, 1:]
        value = float((_mean_of_line(start, end) * lengths).sum())
        middle = (steps.upto[:, :-1] + steps.below[:, 1:]) / 2
        sizes = np.array(pair.sizes)[:, None]
        noise = float((np.sqrt((middle * (1 - middle) / sizes).sum(axis=0)) * lengths).sum()) * math.sqrt(2 / math.pi)
        inside = (steps.below[:, 1:] - steps.upto[:, :-1]).sum(axis=0) / 2
        unknown = float(((inside + (steps.doubt[:-1] + steps.doubt[1:]) / 2) * lengths).sum())
        spread = math.hypot(*(std / math.sqrt(size) for std, size in zip(pair.spreads, pair.sizes, strict=True)))
    if not all(map(math.isfinite, (value, noise, unknown, spread))):
        return None
    width = NORMAL.inv_cdf((1 + confidence) / 2) * spread + unknown
    return Statistic(value=value, low=max(0.0, value - noise - width), high=value + width)


def variation(pair: Pair, confidence: float) -> Statistic:
    """Return the total variation distance of the shares of bins, half the sum of absolute differences.

    Noise inflates it by at most half the sum of its standard deviations, and it lies within
    sqrt(ln(2 / (1 - confidence)) (1/n + 1/m) / 2) of its mean (McDiarmid, 1989: one row moves it by 1/n at most).
    """
    shares, width = pair.shares, deviation(pair.sizes, (1 + confidence) / 2)
    value = total_variation(shares[0], shares[1])
    low = value - sampling_noise(shares[0], shares[1], pair.sizes) - width - pair.unlisted
    return Statistic(value=value, low=max(0.0, low), high=min(1.0, value + width + pair.unlisted))


def stability_index(pair: Pair, confidence: float) -> Statistic:
    """Return the population stability index over bins, sum((q - p) ln(q / p)), in nats (Jeffreys, 1946)."""
    p, q = np.maximum(pair.shares, FLOOR)
    ratio = np.log(q / p)
    slopes = (-ratio - (q - p) / p, ratio + (q - p) / q)
    return _divergence(pair, float(((q - p) * ratio).sum()), slopes, scale=1.0, confidence=confidence)


def jensen_shannon(pair: Pair, confidence: float) -> Statistic:
    """Return the Jensen-Shannon distance of the shares of bins, from 0 to 1: the root of the divergence in bits."""
    p, q = np.maximum(pair.shares, 1e-300)
    middle = (p + q) / 2
    slopes = (np.log2(p / middle) / 2, np.log2(q / middle) / 2)
    value = float((p * slopes[0] + q * slopes[1]).sum())
    return _root(_divergence(pair, value, slopes, scale=1 / (8 * math.log(2)), confidence=confidence))


def chi_square_effect(pair: Pair, confidence: float) -> Statistic:
    """Return Cramér's V of two samples of one size with these shares, from 0 to 1: sqrt(sum((p-q)**2 / (p+q)) / 2)."""
    p, q = pair.shares
    total = p + q
    difference = (p - q) / total
    slopes = (difference - difference**2 / 2, -difference - difference**2 / 2)
    value = float((difference**2 * total).sum() / 2)
    return _root(_divergence(pair, value, slopes, scale=0.25, confidence=confidence))


STATISTICS: Mapping[Name, Callable[[Pair, float], Statistic | None]] = {
    "ks": kolmogorov_smirnov,
    "js": jensen_shannon,
    "psi": stability_index,
    "wasserstein": wasserstein,
    "chi_square": chi_square_effect,
    "tv": variation,
}
"""Name to statistic; None where it does not fit the column: categories have no order."""


def statistics(pair: Pair, *, confidence: float = 0.95) -> dict[str, Statistic]:
    """Return every statistic that fits, each with its interval at this two-sided confidence."""
    found = {name: measure(pair, confidence) for name, measure in STATISTICS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _divergence(
    pair: Pair, value: float, slopes: tuple[Floats, Floats], *, scale: float, confidence: float
) -> Statistic:
    """Return a divergence that is locally `scale` sum((p-q)**2 / p), from its slopes with respect to p and q."""
    inverse = 1 / pair.sizes[0] + 1 / pair.sizes[1]
    degrees = pair.counts.shape[1] - 1
    noise = scale * degrees * inverse
    delta = sum(
        float((share * slope**2).sum() - (share * slope).sum() ** 2) / size
        for share, slope, size in zip(pair.shares, slopes, pair.sizes, strict=True)
    )
    spread = math.sqrt(max(0.0, delta) + 2 * degrees * (scale * inverse) ** 2)
    width = NORMAL.inv_cdf((1 + confidence) / 2) * spread
    middle = value - noise
    return Statistic(value=value, low=max(0.0, middle - width), high=max(value, middle + width))


def _root(squared: Statistic) -> Statistic:
    value, low, high = (math.sqrt(min(1.0, max(0.0, part))) for part in (squared.value, squared.low, squared.high))
    return Statistic(value=value, low=low, high=high)


def _mean_of_line(start: Floats, end: Floats) -> Floats:
    """Return the mean absolute value of lines from `start` to `end`."""
    total = np.abs(start) + np.abs(end)
    crossing = np.divide(start**2 + end**2, 2 * total, out=np.zeros_like(total), where=total > 0)
    return np.where(start * end >= 0, total / 2, crossing)
