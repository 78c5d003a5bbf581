"""Owns the tail probabilities that the tests need, in closed form: importing scipy.stats costs 2.6 CPU s.

Sources: Abramowitz and Stegun (1964), 26.4.4-5 (chi-square), 26.6.5 (F), 26.7.3-4 (Student); Kolmogorov (1933).
"""

import math
from functools import lru_cache
from statistics import NormalDist

NORMAL = NormalDist()
_LARGE_DEGREES = 20_000
"""From here the quantiles of Student's law and of the normal one differ by less than 1 in 5,000."""


def chi_square_tail(value: float, degrees: int) -> float:
    """Return P(X > value) of a chi-square variable with whole `degrees` of freedom.

    >>> round(chi_square_tail(3.841458820694124, 1), 6)
    0.05
    """
    if value <= 0 or degrees < 1:
        return 1.0
    half = value / 2
    odd = degrees % 2
    total = math.erfc(math.sqrt(half)) if odd else 0.0
    # Terms half**k / gamma(k + 1) in logarithms: half**k overflows from k = 200 on.
    for step in range(degrees // 2):
        k = step + odd / 2
        total += math.exp(k * math.log(half) - half - math.lgamma(k + 1))
    return min(1.0, total)


def fisher_tail(value: float, degrees: int, denominator: int) -> float:
    """Return P(X > value) of an F variable with whole degrees; an odd `denominator` counts as one less, which is safe.

    >>> round(fisher_tail(3.70826482, 3, 10), 6)
    0.05
    """
    if value <= 0 or denominator < 2:
        return 1.0
    if denominator >= _LARGE_DEGREES:
        return chi_square_tail(value * degrees, degrees)
    even = denominator - denominator % 2
    share = even / (even + degrees * value)
    term = total = 1.0
    for k in range(1, even // 2):
        term *= (degrees + 2 * k - 2) / (2 * k) * share
        total += term
    return min(1.0, max(0.0, 1 - (1 - share) ** (degrees / 2) * total))


def kolmogorov_tail(value: float) -> float:
    """Return P(K > value) of the limit law of sqrt(n) times the Kolmogorov-Smirnov distance.

    >>> round(kolmogorov_tail(1.3580986), 5)
    0.05
    """
    if value < 0.2:  # the tail is 1 - 1e-12 there, and the series needs many terms
        return 1.0
    total = sum((-1) ** (k - 1) * math.exp(-2 * (k * value) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * total))


def wilson_interval(share: float, rows: float, *, confidence: float) -> tuple[float, float]:
    """Return the bounds of Wilson's score interval (JASA 22, 1927), each of one-sided `confidence`; (0, 1) of no rows.

    >>> [round(end, 5) for end in wilson_interval(0.0, 1000, confidence=0.95)]
    [0.0, 0.0027]
    """
    if not rows:
        return 0.0, 1.0
    z2 = NORMAL.inv_cdf(confidence) ** 2
    middle, scale = share + z2 / (2 * rows), 1 + z2 / rows
    half = math.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows * rows)))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def student_tail(value: float, degrees: int) -> float:
    """Return P(T > value) of a Student variable with whole `degrees` of freedom.

    >>> round(student_tail(2.4469118511449692, 6), 6)
    0.025
    """
    if degrees >= _LARGE_DEGREES or math.isinf(value):
        return math.erfc(value / math.sqrt(2)) / 2
    angle = math.atan(value / math.sqrt(degrees))
    return 0.5 - _student_angle(angle, degrees) / 2


@lru_cache(maxsize=1024)
def student_quantile(tail: float, degrees: int) -> float:
    """Return the value that a Student variable exceeds with probability `tail`, 0 < tail <= 0.5.

    >>> round(student_quantile(0.025, 6), 4)
    2.4469
    """
    low, high = 0.0, 1.0
    while student_tail(high, degrees) > tail:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, degrees) > tail else (low, middle)
    return (low + high) / 2


def _student_angle(angle: float, degrees: int) -> float:
    """Return P(-t < T < t) with sign, `angle` being atan(t / sqrt(degrees))."""
    sine, cosine = math.sin(angle), math.cos(angle)
    term = total = cosine if degrees % 2 else 1.0
    for k in range(2 + degrees % 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if degrees == 1:
        total = 0.0
    return 2 / math.pi * (angle + sine * total) if degrees % 2 else sine * total
