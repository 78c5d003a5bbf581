"""Owns referential integrity: keys of one table that another one must know."""

import polars as pl

from quality import wording
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
        DeclarationError: If the keys are of types that cannot be equal, or the tolerance is out of range.

    >>> judge_references(pl.Series("customer", [1, 2, 9]), pl.Series([1, 2, 3]), table="customers").reason
    '1 of 3 values of customer is not in customers (33.33%, 0.00% tolerated), such as 9'
    """
    if not 0 <= tolerance < 1:
        raise DeclarationError(f"tolerance of references is {tolerance}, it lies between 0 and 1")
    text = [isinstance(side.dtype, (pl.String, pl.Categorical, pl.Enum)) for side in (values, known)]
    if text[0] != text[1]:
        raise DeclarationError(
            f"keys of {values.name!r} are {values.dtype}, those of {table} are {known.dtype}: cast one of them"
        )
    given = values.drop_nulls()
    lost = given.filter(~given.is_in(known.unique().implode()))
    share = len(lost) / len(given) if len(given) else 0.0
    rate = f"({share:.2%}, {tolerance:.2%} tolerated)"
    verb = "is" if len(lost) == 1 else "are"
    reason = f"{len(lost):,} of {wording.count(len(given), 'value')} of {values.name} {verb} not in {table} {rate}"
    if len(lost):
        reason += f", such as {', '.join(str(key) for key in lost.unique().sort().head(_SHOWN))}"
    numbers = {"column": values.name, "share": share, "lost": len(lost)}
    return Finding(check="references", verdict="block" if share > tolerance else "pass", reason=reason, numbers=numbers)
