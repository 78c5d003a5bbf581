"""Owns expectations about one number of a column: its bounds, moments, quantiles, counts and most common value."""

from typing import Any

import numpy as np
import polars as pl

from quality.suites.folds import added, extreme_of
from quality.suites.format import aggregate, clock
from quality.suites.needs import Distinct, Judged, Modes, Order, Outcome, Unsettled
from quality.suites.ranks import quantile
from quality.suites.request import Request, limits
from quality.suites.rows import moments
from quality.suites.source import Column

_NUMBERS = ("int", "float")
_SINGLE_LARGEST = 3e38


def in_range(request: Request, column: Column, observed: Any) -> Outcome:
    """Judge an observed value by the limits of the expectation; nothing observed is a failure."""
    low, high = limits(request, column)
    if observed is None and column.kind == "time":  # pandas' missing clock is an instance of datetime
        return aggregate(request.format, low is None and high is None, None)
    if observed is None or (isinstance(observed, (float, np.floating)) and np.isnan(observed)):
        return aggregate(request.format, False, None)
    strict = request.strict
    with np.errstate(over="ignore"):  # of a limit beyond 32-bit floats
        above = low is None or (observed > low if strict[0] else observed >= low)
        below = high is None or (observed < high if strict[1] else observed <= high)
    return aggregate(request.format, above and below, observed)


def extreme(request: Request, *, greatest: bool) -> Judged:
    """The smallest or greatest value lies in a range."""
    column = request.column(kinds=("int", "float", "str", "time", "date"))
    if column.kind == "str" and any(request.get(name) is not None for name in ("min_value", "max_value")):
        raise Unsettled("limits of texts")
    if column.kind == "time" and getattr(column.polars, "time_unit", None) == "ns":
        raise Unsettled("nanoseconds")
    limits(request, column)
    bounds = request.bounds(column)
    value = request.values(column)
    value = value.to_physical() if column.kind in ("time", "date") else value
    known = None if bounds is None else bounds[1] if greatest else bounds[0]
    end = value.max() if greatest else value.min()
    fold = extreme_of(end, greatest=greatest)
    need = request.scalar(("extreme", greatest, column.name), end, known, fold=fold)
    found = (yield [need])[need]
    if column.kind in ("time", "date") and found is not None:
        found = clock(found, column.polars)
    return in_range(request, column, _narrow(column, found))


def mean(request: Request) -> Judged:
    """The mean lies in a range."""
    column = request.column(kinds=_NUMBERS)
    need, _ = moments(request, column)
    return in_range(request, _float(column), _narrow(column, (yield [need])[need]))


def deviation(request: Request) -> Judged:
    """The standard deviation, over one less than the count, lies in a range."""
    column = request.column(kinds=_NUMBERS)
    _, need = moments(request, column)
    found = (yield [need])[need]
    if column.single and found and found**2 * request.source.rows > _SINGLE_LARGEST:
        raise Unsettled("squares beyond 32-bit floats")
    return in_range(request, _float(column), _narrow(column, found))


def total(request: Request) -> Judged:
    """The sum lies in a range; that of no values is 0."""
    column = request.column(kinds=_NUMBERS)
    if column.dtype == "uint64":
        raise Unsettled("sums of unsigned 64-bit integers")
    value = request.values(column)
    value = value.cast(pl.Int64) if column.kind == "int" else value.cast(pl.Float64)
    need = request.scalar(("sum", column.name), value.sum(), fold=added(value.sum()))
    return in_range(request, column, _narrow(column, (yield [need])[need]))


def median(request: Request) -> Judged:
    """The median lies in a range."""
    column = request.column(kinds=_NUMBERS)
    need = Order((request.domain, "order", column.name), request.values(column), (0.5,))
    order = (yield [need])[need]
    if not order.count:
        return in_range(request, column, None)
    low, high = (_narrow(column, float(order.at((order.count - odd) // 2))) for odd in (1, 0))
    return in_range(request, _float(column), (low + high) / 2 if order.count % 2 == 0 else low)


def quantiles(request: Request) -> Judged:
    """Each quantile lies in its range, or nearly so."""
    column = request.column(kinds=_NUMBERS)
    how = request.get("allow_relative_error") or "nearest"
    ranges = request["quantile_ranges"]
    shares, limits_ = ranges["quantiles"], ranges["value_ranges"]
    if not all(isinstance(share, (int, float)) and 0 <= share <= 1 for share in shares):
        raise Unsettled("quantiles that are no shares")
    if column.single and how in ("linear", "midpoint"):
        raise Unsettled("interpolated 32-bit floats")
    need = Order((request.domain, "order", column.name, tuple(shares)), request.values(column), tuple(shares))
    order = (yield [need])[need]
    found = [quantile(order, share, how) for share in shares]
    met = [_nearly_within(value, *_open(limit)) for value, limit in zip(found, limits_, strict=True)]
    observed = {"quantiles": list(shares), "values": found}
    return aggregate(request.format, all(met), observed, details={"success_details": met})


def _open(limit: list[float | None]) -> tuple[float, float]:
    low, high = limit
    return -np.inf if low is None else low, np.inf if high is None else high


def _nearly_within(value: float, low: float, high: float) -> bool:
    """Return whether a quantile lies in its range, or within 1e-4 of one of its ends, relative to that end."""
    near = any(bool(np.isclose(np.float64(value), np.float64(end), rtol=1e-4, atol=1e-8)) for end in (low, high))
    return near or bool(low <= value <= high)


def distinct_count(request: Request) -> Judged:
    """The number of different values lies in a range."""
    column = request.column(kinds=("int", "float", "str", "bool", "time", "date", "decimal"))
    need = Distinct((request.domain, "distinct", column.name), request.values(column))
    return in_range(request, _float(column), (yield [need])[need])


def distinct_share(request: Request) -> Judged:
    """The number of different values, as a share of the values, lies in a range."""
    column = request.column(kinds=("int", "float", "str", "bool", "time", "date", "decimal"))
    need = Distinct((request.domain, "distinct", column.name), request.values(column))
    rows, missing = request.rows(), request.missing(column)
    values = yield [rows, missing, need]
    present = values[rows] - values[missing]
    return in_range(request, _float(column), values[need] / present if present else 0)


def present_share(request: Request) -> Judged:
    """The share of values that are not missing lies in a range."""
    column = request.column()
    rows, missing = request.rows(), request.missing(column)
    values = yield [rows, missing]
    share = (values[rows] - values[missing]) / values[rows] if values[rows] else 0
    return in_range(request, _float(column), share)


def most_common(request: Request) -> Judged:
    """The most common value, or one of several, is among some."""
    column = request.column(kinds=("int", "float", "str"))
    if column.single:
        raise Unsettled("32-bit floats")
    allowed = request["value_set"]
    if not isinstance(allowed, list):
        raise Unsettled("a set of values that is no list")
    need = Modes((request.domain, "modes", column.name), request.values(column))
    found = (yield [need])[need]
    common = len(set(allowed).intersection(found))
    met = common > 0 if request.flag("ties_okay") else len(found) == 1 and common == 1
    return aggregate(request.format, met, found)


def _narrow(column: Column, value: Any) -> Any:
    """Return a number as pandas computes it: 32-bit floats give 32-bit floats."""
    with np.errstate(over="ignore"):
        return np.float32(value) if column.single and value is not None else value


def _float(column: Column) -> Column:
    """Return the column whose limits are those of a float."""
    return Column(name=column.name, kind="float", dtype=column.dtype, value=column.value, polars=pl.Float64())
