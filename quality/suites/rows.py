"""Owns expectations about the values of one column, row by row."""

import math
from functools import lru_cache
from typing import Any

import polars as pl

from quality.suites.conditions import number
from quality.suites.folds import deviation_of, mean_of
from quality.suites.format import about_rows, shown, to_show
from quality.suites.needs import Distinct, Found, Judged, Order, Outcome, Repeated, Scalar, Unsettled
from quality.suites.ranks import quantile
from quality.suites.regex import Untranslatable, translate
from quality.suites.request import Request, limits
from quality.suites.source import Column

NOTHING = Found(rows=(), positions=())
_ORDERED = ("int", "float", "time", "date")
_NUMBERS = ("int", "float")


def null(request: Request, *, wanted: bool) -> Judged:
    """Values are missing, or are not."""
    column = request.column()
    key = ("null", wanted, column.name)
    nothing = request.failing(key, (pl.lit(None, dtype=pl.Boolean),), request.within(column.value.is_null()))
    rows, missing = request.rows(), request.missing(column, examples=None if wanted else nothing)
    values = yield [rows, missing]
    total = values[rows]
    failing = total - values[missing] if wanted else values[missing]
    found = NOTHING
    if failing and request.format.rows:
        mask = request.within(column.value.is_not_null())
        examples = request.failing(key, (to_show(column),), mask) if wanted else nothing
        found = (yield [examples])[examples]
    return about_rows(
        request.format,
        total=total,
        considered=None,
        unexpected=failing,
        mostly=request.mostly,
        found=found,
        values=[shown(column, row[0]) for row in found.rows],
    )


def judged_rows(
    request: Request, column: Column, key: object, failing: pl.Expr, known: int | None = None, *, slow: bool = False
) -> Judged:
    """Judge the rows that a mask of one column finds failing among its values that are not missing.

    With `slow`, the mask takes longer than to find the different values of a column that has few of them.
    """
    decides = column.name if slow else None
    examples = request.failing((key, column.name), (to_show(column),), request.within(failing), decides=decides)
    count = request.counted((key, column.name), failing, known, examples=examples)
    rows, missing = request.rows(), request.missing(column)
    values = yield [rows, missing, count]
    found = NOTHING
    if values[count] and request.format.rows:
        found = (yield [examples])[examples]
    return _outcome(request, column, (values[rows], values[missing], int(values[count])), found)


def between(request: Request) -> Judged:
    """Values lie in a range."""
    column = request.column(kinds=("int", "float", "bool", "time", "date"))
    low, high = limits(request, column)
    if low is None and high is None:
        raise Unsettled("no limit")
    strict = request.strict
    value = column.as_float if column.single or column.kind == "bool" else column.value
    value = value.dt.convert_time_zone("UTC") if getattr(column.polars, "time_zone", None) else value
    known = 0 if _all_within(request, column, low, high) else None
    failing = outside(value, low, high, strict)
    return (yield from judged_rows(request, column, ("between", str(low), str(high), strict), failing, known))


def outside(value: pl.Expr, low: Any, high: Any, strict: tuple[bool, bool]) -> pl.Expr:
    """Return the mask of the values beyond limits, of which one is not None."""
    below = None if low is None else (value <= low if strict[0] else value < low)
    above = None if high is None else (value >= high if strict[1] else value > high)
    if below is None or above is None:
        return above if below is None else below  # pyright: ignore[reportReturnType]
    return below | above


def _all_within(request: Request, column: Column, low: Any, high: Any) -> bool:
    """Return whether it is known without a look at the rows that all values keep to the limits."""
    strict, bounds = request.strict, request.bounds(column)
    if bounds is not None and all(_inside(end, low, high, strict) for end in bounds):
        return True
    return (
        column.kind in _NUMBERS and not column.single and not any(strict) and request.assured(column).within(low, high)
    )


def _inside(value: float, low: Any, high: Any, strict: tuple[bool, bool]) -> bool:
    above = low is None or (value > low if strict[0] else value >= low)
    return above and (high is None or (value < high if strict[1] else value <= high))


def in_set(request: Request, *, wanted: bool) -> Judged:
    """Values are among some, or are not."""
    column = request.column(kinds=("int", "float", "str", "bool"))
    allowed = request["value_set"]
    if not isinstance(allowed, list) or not all(member(column, value) for value in allowed):
        raise Unsettled("a set of values of other types")
    within = is_in(column, allowed)
    known = 0 if wanted and _covered(request, column, allowed) else None
    key = ("in set", wanted, tuple(map(repr, allowed)))
    return (
        yield from judged_rows(request, column, key, ~within if wanted else within, known, slow=column.kind == "str")
    )


def member(column: Column, value: object) -> bool:
    """Return whether `value` compares with the values of a column as it does in pandas."""
    match column.kind:
        case "int" | "float":
            return number(value)
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case _:
            return False


def is_in(column: Column, values: list[Any]) -> pl.Expr:
    """Return the mask of the values that are among some; missing ones are neither."""
    value = column.as_float if column.single else column.value
    if not values:
        return pl.when(value.is_not_null()).then(False)
    if column.kind == "int" and all(float(item).is_integer() for item in values):
        values = [int(item) for item in values]
    elif column.kind in _NUMBERS:
        value, values = column.as_float, [float(item) for item in values]
    return value.is_in(values)


def _covered(request: Request, column: Column, allowed: list[Any]) -> bool:
    """Return whether it is known without a look at the rows that there is no value that is not allowed."""
    only = request.assured(column).allowed
    if only is not None and column.kind in ("int", "str"):
        return set(only) <= set(allowed)
    bounds = request.bounds(column) if column.kind == "int" else None
    if bounds is None or bounds[1] - bounds[0] >= len(allowed):
        return False
    return set(range(int(bounds[0]), int(bounds[1]) + 1)) <= {item for item in allowed if item == int(item)}


def lengths(request: Request) -> Judged:
    """Texts have so many characters."""
    column = request.column(kinds=("str",))
    length = column.value.str.len_chars()
    if "value" in request.arguments:
        wanted = request["value"]
        if not number(wanted):
            raise Unsettled("a length that is no number")
        failing = length != int(wanted) if float(wanted).is_integer() and wanted >= 0 else column.value.is_not_null()
        return (yield from judged_rows(request, column, ("length", wanted), failing))
    low, high = request.get("min_value"), request.get("max_value")
    if (low is None and high is None) or not all(number(end) for end in (low, high) if end is not None):
        raise Unsettled("lengths that are no numbers")
    strict = request.strict
    failing = outside(length.cast(pl.Int64), low, high, strict)
    return (yield from judged_rows(request, column, ("lengths", low, high, strict), failing))


def regex(request: Request, *, wanted: bool) -> Judged:
    """Texts hold what a regular expression describes, or do not."""
    column = request.column(kinds=("str",))
    pattern = request.get("regex", "(?s).*")
    failing = contains(column, pattern)
    key = ("regex", wanted, pattern)
    return (yield from judged_rows(request, column, key, ~failing if wanted else failing, slow=True))


def regex_list(request: Request, *, wanted: bool) -> Judged:
    """Texts hold what any or all of some regular expressions describe, or none of them."""
    column = request.column(kinds=("str",))
    patterns = request["regex_list"]
    match_on = request.get("match_on", "any") if wanted else "any"
    if not isinstance(patterns, list) or not patterns or match_on not in ("any", "all"):
        raise Unsettled("a list of regular expressions that cannot be read")
    masks = [contains(column, pattern) for pattern in patterns]
    held = pl.all_horizontal(masks) if match_on == "all" else pl.any_horizontal(masks)
    key = ("regexes", wanted, match_on, tuple(patterns))
    return (yield from judged_rows(request, column, key, ~held if wanted else held, slow=True))


def contains(column: Column, pattern: object) -> pl.Expr:
    """Return the mask of the texts in which a Python regular expression is found.

    Raises:
        Unsettled: If Rust's regular expressions cannot say it.
    """
    if not isinstance(pattern, str):
        raise Unsettled("a regular expression that is no text")
    try:
        return column.value.str.contains(_rust(pattern))
    except (Untranslatable, pl.exceptions.ComputeError) as error:
        raise Unsettled(f"a regular expression beyond Rust's ({str(error).splitlines()[0]})") from error


@lru_cache(maxsize=256)
def _rust(pattern: str) -> str:
    """Return a regular expression that Rust takes; one suite asks the same of many columns."""
    translated = translate(pattern)
    pl.Series([""]).str.contains(translated)
    return translated


def monotone(request: Request, *, increasing: bool) -> Judged:
    """Values never fall, or never rise; the first one, and those after an infinite one, are let pass."""
    column = request.column(kinds=_ORDERED)
    if column.polars.is_unsigned_integer():
        raise Unsettled("differences of unsigned integers")
    strictly = request.flag("strictly")
    zero = pl.lit(0) if column.kind in _NUMBERS else pl.duration(days=0)

    def failing(value: pl.Expr) -> pl.Expr:
        value = value.cast(pl.Int64) if column.kind == "int" else value
        step = value - value.shift(1)
        step = step.fill_nan(None) if column.kind == "float" else step
        if increasing:
            return step <= zero if strictly else step < zero
        return step >= zero if strictly else step > zero

    among = request.within(column.value.is_not_null())
    key = ("monotone", increasing, strictly, column.name)
    count = request.scalar(key, failing(column.value.filter(among)).sum(), apart=True)
    rows, missing = request.rows(), request.missing(column)
    values = yield [rows, missing, count]
    found = NOTHING
    if values[count] and request.format.rows:
        examples = request.failing(key, (to_show(column),), failing(column.value), among)
        found = (yield [examples])[examples]
    return _outcome(request, column, (values[rows], values[missing], int(values[count])), found)


def unique(request: Request) -> Judged:
    """No value occurs twice; every member of a group of equal values fails."""
    column = request.column(kinds=("int", "float", "str", "bool", "time", "date", "decimal"))
    rows, missing = request.rows(), request.missing(column)
    footers = request.source.footers
    if request.mask is None and footers is not None and footers.ascending(column.name):
        falls = request.scalar(("falls", column.name), (column.value <= column.value.shift(1)).any(), apart=True)
        values = yield [rows, missing, falls]
        if not values[falls]:
            return _outcome(request, column, (values[rows], values[missing], 0))
    different = Distinct((request.domain, "distinct", column.name), request.values(column))
    values = yield [rows, missing, different]
    count, found = 0, NOTHING
    if values[different] + values[missing] < values[rows]:
        mask = request.within(column.value.is_not_null())
        key = (request.domain, "repeated", column.name)
        need = Repeated(key, (to_show(column),), mask, max(1, request.format.limit), request.format.all_positions)
        count, found = (yield [need])[need]
    return _outcome(request, column, (values[rows], values[missing], count), found)


def z_scores(request: Request) -> Judged:
    """Values lie within so many standard deviations of the mean; undefined scores are let pass."""
    column = request.column(kinds=_NUMBERS)
    if column.single:
        raise Unsettled("scores of 32-bit floats")
    threshold, both = request["threshold"], request.flag("double_sided")
    if not number(threshold):
        raise Unsettled("a threshold that is no number")
    mean, deviation = moments(request, column)
    values = yield [mean, deviation]
    center, spread = values[mean], values[deviation]
    if not spread or not math.isfinite(spread) or not math.isfinite(center):
        return (yield from judged_rows(request, column, ("z", threshold, both), pl.lit(False)))
    score = (column.as_float - center) / spread
    failing = ~(score.abs() < abs(threshold)) if both else ~(score < threshold)
    return (yield from judged_rows(request, column, ("z", threshold, both), failing & column.value.is_not_null()))


def moments(request: Request, column: Column) -> tuple[Scalar, Scalar]:
    """Return the needs of mean and standard deviation (over one less than the count)."""
    value = request.values(column)
    wide = value.cast(pl.Float64)
    return (
        request.scalar(("mean", column.name), wide.mean(), fold=mean_of(wide)),
        request.scalar(("deviation", column.name), wide.std(), fold=deviation_of(wide)),
    )


def outliers(request: Request) -> Judged:
    """Values lie in Tukey's fences, or within some standard deviations of the mean."""
    column = request.column(kinds=_NUMBERS)
    method, multiplier = request.get("method", "iqr"), request.get("multiplier", 1.5)
    if column.single or method not in ("iqr", "std") or not number(multiplier):
        raise Unsettled("outliers by other means")
    if method == "iqr":
        need = Order((request.domain, "order", column.name), request.values(column), (0.25, 0.75))
        order = (yield [need])[need]
        low, high = (float(quantile(order, share, "linear")) for share in need.quantiles)
        spread = high - low
    else:
        mean, deviation = moments(request, column)
        values = yield [mean, deviation]
        low = high = math.nan if values[mean] is None else values[mean]
        spread = math.nan if values[deviation] is None else values[deviation]
    if not all(map(math.isfinite, (low, high, spread))):
        return (yield from judged_rows(request, column, ("outliers", method), pl.lit(False)))
    reach, value = multiplier * spread, column.as_float
    if method == "iqr":
        failing = (value < low - reach) | (value > high + reach)
    else:
        failing = value != low if reach <= 0 else (value - low).abs() >= reach
    return (yield from judged_rows(request, column, ("outliers", method, multiplier), failing))


def _outcome(request: Request, column: Column, counts: tuple[int, int, int], found: Found = NOTHING) -> Outcome:
    """Return the outcome of counts of all rows, of missing values and of failing ones."""
    total, missing, unexpected = counts
    return about_rows(
        request.format,
        total=total,
        considered=total - missing,
        unexpected=unexpected,
        mostly=request.mostly,
        found=found,
        values=[shown(column, row[0]) for row in found.rows],
    )
