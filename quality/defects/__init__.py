"""Defects planted on purpose, to see whether checks notice: the mutation testing of data checks.

Give `plant` a sound partition and the name of a defect in `DEFECTS`; run your checks on what it returns.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from quality.defects.spec import Defect, Planting, check
from quality.defects.table import DEFECTS
from resources.errors import DeclarationError
from resources.names import unknown_name

__all__ = ["DEFECTS", "Defect", "plant"]


def plant(
    name: str,
    frame: pl.DataFrame,
    columns: Sequence[str] = (),
    *,
    magnitude: float | None = None,
    seed: int = 0,
    past: Sequence[pl.DataFrame] = (),
) -> pl.DataFrame:
    """Return `frame` with a defect in it; the same arguments give the same defect.

    Args:
        name: Name of the defect, a key of `DEFECTS`.
        frame: A sound partition.
        columns: Columns to strike, as `DEFECTS[name].takes` lists them.
        magnitude: How bad it is, as `DEFECTS[name].meaning` says; None takes the grossest usual one.
        seed: Seed of all that is drawn.
        past: Sound earlier partitions, oldest first, of which some defects are made.

    Raises:
        DeclarationError: If there is no such defect, it cannot be planted there, or there is nothing for it to strike.

    >>> plant("unit_change", pl.DataFrame({"metres": [1.5, 2.0]}), ["metres"], magnitude=100)["metres"].to_list()
    [150.0, 200.0]
    """
    if name not in DEFECTS:
        raise DeclarationError(unknown_name("defect", name, DEFECTS))
    defect = DEFECTS[name]
    planting = Planting(
        frame=frame,
        columns=tuple(columns),
        magnitude=defect.magnitudes[-1] if magnitude is None else magnitude,
        rng=np.random.default_rng(seed),
        past=past,
    )
    check(defect, planting)
    damaged = defect.plant(planting)
    if damaged.equals(frame):
        raise DeclarationError(
            f"{name}: leaves these {frame.height:,} rows as they are, with magnitude {planting.magnitude:g} and seed "
            f"{seed}: give a larger magnitude, more rows, or columns in which there is something to strike"
        )
    return damaged
