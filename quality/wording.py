"""Owns how numbers and types read in a reason: few digits, a unit, better or worse instead of a sign."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def decimals(*numbers: float) -> int:
    """Return how many decimals show three digits of the largest of `numbers`, at most 6.

    >>> decimals(15.2, 9.1, 21.0), decimals(0.0123)
    (1, 4)
    """
    largest = max(abs(number) for number in numbers)
    if largest == 0:
        return 0
    return min(6, max(0, 2 - math.floor(math.log10(largest))))


def with_unit(text: str, unit: str) -> str:
    """Return `text` followed by its unit, if it has one."""
    return f"{text} {unit}" if unit else text


def direction(worse: float) -> str:
    """Return "worse" or "better"."""
    return "worse" if worse > 0 else "better"


def comparison(worse: float, low: float, high: float, *, places: int, confidence: float) -> str:
    """Return the interval of a difference in words, read in the direction of the difference itself.

    >>> comparison(15.2, 9.1, 21.0, places=1, confidence=0.95)
    '95 % interval 9.1 to 21.0'
    >>> comparison(-0.3, -1.8, 1.2, places=1, confidence=0.95)
    '95 % interval 1.2 worse to 1.8 better'
    """
    first, last = (low, high) if worse > 0 else (high, low)
    same = low * high >= 0
    words = [f"{abs(end):.{places}f}" + ("" if same else f" {direction(end)}") for end in (first, last)]
    return f"{percent(confidence)} interval {words[0]} to {words[1]}"


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.95), percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * share:.6g} %"


def rounded_up(count: float) -> str:
    """Return a count rounded up to two digits, with thousands marked.

    >>> rounded_up(1234), rounded_up(7)
    ('1,300', '7')
    """
    step = 10 ** max(0, math.floor(math.log10(max(1.0, count))) - 1)
    return f"{math.ceil(count / step) * step:,}"


def three_digits(number: float) -> str:
    """Return a number in three digits, with thousands marked.

    >>> three_digits(27412.3), three_digits(0.012345), three_digits(0.0)
    ('27,400', '0.0123', '0')
    """
    return f"{float(f'{number:.3g}'):,.15g}"


def count(number: int, noun: str) -> str:
    """Return a counted noun.

    >>> count(1, "slice"), count(1200, "slice")
    ('1 slice', '1,200 slices')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def type_name(kind: "pl.DataType") -> str:
    """Return the name of a type; of an enumeration how many categories it has, not each of maybe millions.

    >>> import polars as pl
    >>> type_name(pl.Int64()), type_name(pl.Enum(["a", "b"]))
    ('Int64', 'Enum of 2 categories')
    """
    import polars as pl

    return f"Enum of {len(kind.categories):,} categories" if isinstance(kind, pl.Enum) else str(kind)


def probability(p: float) -> str:
    """Return a probability in two digits; below 1e-6 the tails of the tests mean nothing.

    >>> probability(0.0123), probability(1e-9)
    ('0.012', 'below 1e-06')
    """
    return f"{p:.2g}" if p >= 1e-6 else "below 1e-06"
