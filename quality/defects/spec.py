"""Owns what a defect is: its name, the columns it strikes, what its magnitude means, and the function that plants it.

It plants nothing itself: the functions of each family have a module of their own, `quality.defects.table` lists them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from resources.errors import DeclarationError
from resources.names import unknown_name

Takes = Literal["number", "integer", "float", "text", "code", "time", "label", "any"]
"""What a column must be: "integer" and "float" are numbers of that kind; "code" is text or an integer, values that
name things; "label" is a boolean or a number with two values at most."""
Meaning = Literal["share", "factor", "count", "hours", "deviations", "fixed"]
"""What a magnitude is: a "share" of rows, values or effect, 0 to 1; a "factor" to multiply by; a "count" of digits,
bits or characters; "hours"; standard "deviations"; "fixed" for a defect that is there or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """What a defect is planted into.

    Attributes:
        frame: A sound partition.
        columns: The columns to strike, in the order that the defect takes them.
        magnitude: How bad it is, see `Defect.meaning`.
        rng: Source of all randomness.
        past: Sound earlier partitions, oldest first.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]
    magnitude: float
    rng: np.random.Generator
    past: Sequence[pl.DataFrame] = ()

    @property
    def column(self) -> str:
        """The first column to strike."""
        return self.columns[0]

    @property
    def values(self) -> pl.Series:
        """Values of the first column to strike."""
        return self.frame.get_column(self.column)

    def struck(self, share: float | None = None) -> pl.Series:
        """Return for each row whether the defect strikes it: a random `share` of the rows, at least one.

        Args:
            share: Share of the rows; None takes the magnitude.
        """
        return self.chosen(pl.Series(np.ones(self.frame.height, dtype=np.bool_)), share)

    def chosen(self, among: pl.Series, share: float | None = None) -> pl.Series:
        """Return a mask of a random `share` of the rows that are true in `among`, at least one where there is one."""
        rows = np.flatnonzero(among.fill_null(value=False).to_numpy())
        count = min(len(rows), max(1, round((self.magnitude if share is None else share) * len(rows))))
        mask: NDArray[np.bool_] = np.zeros(self.frame.height, dtype=np.bool_)
        mask[self.rng.choice(rows, size=count, replace=False)] = True
        return pl.Series(mask)

    def put(self, values: pl.Series, where: pl.Series | None = None) -> pl.DataFrame:
        """Return the frame with `values` in the first column to strike, in the rows `where` or in all."""
        return put(self.frame, self.column, values, where)


def put(frame: pl.DataFrame, name: str, values: pl.Series, where: pl.Series | None = None) -> pl.DataFrame:
    """Return `frame` with `values` in the column `name`, in the rows `where` or in all of them."""
    new = values.alias(name)
    if where is None:
        return frame.with_columns(new)
    old = frame.get_column(name)
    return frame.with_columns(pl.select(pl.when(where).then(new).otherwise(old).alias(name)).to_series())


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One kind of defect.

    Attributes:
        name: Its name.
        what: What happened to the data, in plain words.
        takes: What each struck column must be; none for a defect of whole rows.
        meaning: What the magnitude is.
        magnitudes: Usual magnitudes, from slight to gross.
        needs_past: Whether it is made of earlier partitions.
        plant: Returns the damaged frame.
    """

    name: str
    what: str
    takes: tuple[Takes, ...]
    meaning: Meaning
    magnitudes: tuple[float, ...]
    needs_past: bool = False
    plant: Callable[[Planting], pl.DataFrame]


def check(defect: Defect, planting: Planting) -> None:
    """Refuse to plant `defect` where it makes no sense.

    Raises:
        DeclarationError: If the columns are missing, too many, too few or of the wrong kind, the magnitude is out of
            range, or there are no rows or no earlier partitions.
    """
    frame, name = planting.frame, defect.name
    if frame.is_empty():
        raise DeclarationError(f"{name}: the frame has no rows to strike; give a sound partition")
    if len(planting.columns) != len(defect.takes):
        wanted = ", ".join(defect.takes) or "none"
        raise DeclarationError(f"{name}: takes the columns ({wanted}), got {list(planting.columns)}")
    for column, kind in zip(planting.columns, defect.takes, strict=True):
        if column not in frame.columns:
            raise DeclarationError(f"{name}: {unknown_name('column', column, frame.columns)}")
        if not _is(frame.get_column(column), kind):
            raise DeclarationError(f"{name}: {column!r} is {frame.schema[column]}, it takes a column of kind {kind!r}")
    if not np.isfinite(planting.magnitude) or (defect.meaning == "share" and not 0 < planting.magnitude <= 1):
        bounds = "above 0, at most 1" if defect.meaning == "share" else "finite"
        raise DeclarationError(f"{name}: magnitude {planting.magnitude} is no {defect.meaning}, which is {bounds}")
    if defect.needs_past and not planting.past:
        raise DeclarationError(f"{name}: is made of earlier partitions; give at least one as `past`")


def _is(values: pl.Series, kind: Takes) -> bool:
    dtype = values.dtype
    text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
    if kind == "label":
        return isinstance(dtype, pl.Boolean) or (dtype.is_numeric() and values.drop_nulls().n_unique() <= 2)
    fits: dict[Takes, bool] = {
        "number": dtype.is_numeric(),
        "integer": dtype.is_integer(),
        "float": dtype.is_float(),
        "text": text,
        "code": text or dtype.is_integer(),
        "time": isinstance(dtype, pl.Datetime),
        "any": True,
    }
    return fits[kind]
