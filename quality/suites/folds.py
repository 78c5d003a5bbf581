"""Owns how values of all rows come of values of stretches of them: sums, ends, moments, sets.

Sums of fractions and moments agree with those of one query to nine digits: the order of adding is another.
"""

import math
from typing import Any

import polars as pl

from quality.suites.needs import Fold, Parts

_WORDS = 2**64
_HALF = 2**63


def added(expression: pl.Expr) -> Fold:
    """Return the fold of a sum; that of whole numbers wraps at 64 bits, as Polars' and numpy's do."""
    return Fold((expression,), lambda one, other: (one[0] + other[0],), lambda held: _wrapped(held[0]))


def extreme_of(expression: pl.Expr, *, greatest: bool) -> Fold:
    """Return the fold of a minimum or maximum."""
    choose = max if greatest else min

    def merge(one: Parts, other: Parts) -> Parts:
        return (choose((end for end in (one[0], other[0]) if end is not None), default=None),)

    return Fold((expression,), merge, lambda held: held[0])


def mean_of(value: pl.Expr) -> Fold:
    """Return the fold of the mean of floats."""
    return Fold((value.count(), value.mean()), _means, lambda held: held[1])


def deviation_of(value: pl.Expr) -> Fold:
    """Return the fold of the standard deviation of floats over one less than the count (Chan, Golub and LeVeque, 1979).

    Parts are the count, the mean and the sum of squared distances from it.
    """

    def merge(one: Parts, other: Parts) -> Parts:
        if not one[0] or not other[0]:
            return one if one[0] else other
        count, mean = _means(one, other)
        gap = other[1] - one[1]
        return count, mean, one[2] + other[2] + gap * gap * one[0] * other[0] / count

    def finish(held: Parts) -> float | None:
        return None if held[0] < 2 else math.sqrt(held[2] / (held[0] - 1))

    return Fold((value.count(), value.mean(), value.var(ddof=0) * value.count()), merge, finish)


def union_of(expression: pl.Expr) -> Fold:
    """Return the fold of a list of different values, which becomes the set of them."""
    return Fold((expression,), lambda one, other: (set(one[0]) | set(other[0]),), lambda held: set(held[0]))


def _means(one: Parts, other: Parts) -> Parts:
    if not one[0] or not other[0]:
        return (one if one[0] else other)[:2]
    count = one[0] + other[0]
    return count, (one[0] * one[1] + other[0] * other[1]) / count


def _wrapped(total: Any) -> Any:
    return (total + _HALF) % _WORDS - _HALF if isinstance(total, int) else total
