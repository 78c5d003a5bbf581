"""Owns referential integrity: keys of one table that another one must know."""

import polars as pl

from quality import wording
from quality.readable import require_years
from quality.verdicts import Finding
from resources.errors import DeclarationError

_SHOWN = 5


def judge_references(values: pl.Series, known: pl.Series, *, table: str, tolerance: float = 0.0) -> Finding:
    """Block where more than a share of the keys in `values` is not in `known`; nulls refer to nothing and are left out.

    Args:
        values: Foreign keys.
        known: Keys that exist.
        table: Name of the table that they are keys of, for the reason.
        tolerance: Largest tolerated share, for keys that arrive before what they refer to.

    Raises:
        DeclarationError: If the keys are of types that cannot be equal or name nothing exactly, or the tolerance is out
            of range.

    >>> judge_references(pl.Series("customer", [1, 2, 9]), pl.Series([1, 2, 3]), table="customers").reason
    '1 of 3 values of customer is not in customers (33.33%, 0.00% tolerated), such as 9'
    """
    if not 0 <= tolerance < 1:
        raise DeclarationError(f"tolerance of references is {tolerance}, it lies between 0 and 1")
    given = values.alias("keys").drop_nulls()
    lost = given.filter(~_is_known(given, values.name, known, table))
    share = len(lost) / len(given) if len(given) else 0.0
    rate = f"({share:.2%}, {tolerance:.2%} tolerated)"
    verb = "is" if len(lost) == 1 else "are"
    reason = f"{len(lost):,} of {wording.count(len(given), 'value')} of {values.name} {verb} not in {table} {rate}"
    if len(lost):
        reason += f", such as {', '.join(str(key) for key in lost.unique().sort().head(_SHOWN))}"
    numbers = {"column": values.name, "share": share, "lost": len(lost)}
    return Finding(check="references", verdict="block" if share > tolerance else "pass", reason=reason, numbers=numbers)


def _is_known(given: pl.Series, name: str, known: pl.Series, table: str) -> pl.Series:
    for what, keys in ((f"keys of {name!r}", given), (f"keys of {table}", known)):
        if keys.dtype.is_nested() or isinstance(keys.dtype, pl.Object):
            kind = wording.type_name(keys.dtype)
            raise DeclarationError(f"{what} are {kind}, which are no keys: take numbers, texts or times")
        require_years(what, keys.to_frame("keys"), ["keys"])
    try:
        return given.is_in(known.alias("keys").unique().implode())
    except pl.exceptions.InvalidOperationError as error:
        kinds = wording.type_name(given.dtype), wording.type_name(known.dtype)
        told = f"keys of {name!r} are {kinds[0]}, those of {table} are {kinds[1]}: cast one of them"
        raise DeclarationError(told) from error
