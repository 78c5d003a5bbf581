"""Owns the drift checks of any asset: column by column on profiles, and all columns together on rows.

The profile of each partition is kept for later ones (`assets.checks.past`), so that no earlier partition is read again.
How far healthy partitions lay from their own reference tells what is usual, seasons and all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.compared import DriftRule, against_the_past, window_of
from assets.checks.past import most_earlier
from assets.checks.rows import Rows, frame_of
from assets.metadata import Metadata, table
from assets.told import Told
from quality.healthy import unless_again
from resources.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    from quality.drift import MultivariateDrift
    from quality.profile import Profile

Reference: TypeAlias = "Profile | pl.DataFrame | pl.LazyFrame | Callable[[str | None], Any] | None"  # Any: a table
PAST = 36
"""Earlier partitions that tell what is usual."""


def drift_check(
    asset: Asset,
    *,
    reference: Reference = None,
    window: int = 7,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    tolerance: float = 0.1,
    gross: float = 0.85,
    past: int | None = None,
    alpha: float = 0.01,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that no column is distributed otherwise than in its reference; it warns.

    Until 8 partitions were compared with those before them the past cannot tell drift from a season, such as the first
    weekend after five weekdays: then only what no season does is told (`quality.drift.gross_changes`), such as another
    unit, a column that is stuck, gone or of another type; what else moved is named without a warning. Where a reference
    is declared there is a warning from the first partition on, which says so.

    The label and predictions are columns like others: `drift_check(scored, name="prediction_drift",
    columns=["prediction"])` tells of them alone.

    Args:
        asset: Asset that is checked, or its key.
        reference: Rows or profile to compare with, or a function of the partition key that returns them; None takes the
            partitions before this one.
        window: How many partitions before this one are the reference.
        columns: Columns to compare; None takes all but times, which move with every partition.
        ignore: Columns that are meant to move.
        categorical: Numeric columns that hold codes of categories.
        tolerance: Largest tolerated effect: Kolmogorov-Smirnov or total variation distance, from 0 to 1.
        gross: Largest effect that a season may have, from 0 to 1: beyond it there is a warning while the past is short.
            1 asks for none.
        past: Earlier partitions that tell what is usual; from 8 that have some before them on they are a third key.
            Fewer than 8 ask for no such key, and warn from the second partition on. None takes 36, or 0 of static
            partitions that are too few to have 8.
        alpha: Probability at which a healthy partition may pass what is usual, all columns together.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    for name, value, low in (("window", window, 1), ("past", past, 0)):
        if value is not None and value < low:
            raise DeclarationError(f"drift: {name} is {value}, give a number of partitions, {low} at least")
    if not 0 < gross <= 1:
        raise DeclarationError(f"drift: gross is {gross}, it lies above 0, and is 1 at most")
    for name, share in (("tolerance", tolerance), ("alpha", alpha)):
        if not 0 <= share < 1:
            raise DeclarationError(f"drift: {name} is {share}, it lies between 0 and 1")
    rule = DriftRule(
        window=window, tolerance=tolerance, gross=gross, declared=reference is not None, categorical=categorical,
        alpha=alpha,
    )  # fmt: skip

    def judge(look: Look) -> Told:
        from quality.drift import MIN_PAIRS
        from quality.profile import Profile, profile

        asked = _past_of(look) if past is None else past
        current = profile(_chosen(look.frame(), columns, ignore))
        earlier = [value for _, value in look.past(asked + window)]
        before = [Profile.from_json(value["profile"]) for value in earlier]
        against = _declared(reference, look, columns, ignore) or window_of(before, window)
        if against is None:
            reason = f"nothing to compare with: no earlier partition of {look.asset} was checked"
            return Told(verdict="pass", reason=reason, measured={"profile": current.to_json(), "alarm": False})
        taught = [not value["alarm"] for value in earlier]
        names, applied = _names(against, columns), replace(rule, seasons=asked >= MIN_PAIRS)
        told, alarm = against_the_past(current, before, taught, against=against, names=names, rule=applied)
        return replace(told, measured={"profile": current.to_json(), "alarm": alarm})

    defaults = Defaults(name="drift", description="No column is distributed otherwise than in its reference.")
    return build_check(asset, judge, defaults, options)


def multivariate_drift_check(
    asset: Asset,
    *,
    reference: "Rows | pl.DataFrame",
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    clusters: str | None = None,
    tolerance: float = 0.05,
    alpha: float = 0.01,
    past: int = PAST,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that no classifier can tell the partition from its reference; it warns, and takes some seconds.

    It sees columns that part together while each keeps its own distribution.

    Args:
        asset: Asset that is checked, or its key.
        reference: Rows to compare with, or a function of the partition key that returns them.
        columns: Columns to tell them apart by; None takes all that both sides have but times.
        ignore: Columns that are meant to move.
        clusters: Column of rows that are alike; of times, their days. None takes rows as independent.
        tolerance: Largest tolerated area under the curve above one half.
        alpha: Level of the test, and probability at which a healthy partition may pass what is usual.
        past: Earlier partitions whose areas tell what is usual.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    for name, value, top in (("tolerance", tolerance, 0.5), ("alpha", alpha, 1)):
        if not 0 <= value < top:
            raise DeclarationError(f"multivariate drift: {name} is {value}, it lies between 0 and {top}")

    def judge(look: Look) -> Told:
        given = reference(look.partition) if callable(reference) else reference
        sides = (frame_of(given, of=f"the reference of {look.asset}"), look.frame())
        areas = usual_areas([value for _, value in look.past(past)])
        return multivariate(
            sides, columns=columns, ignore=ignore, clusters=clusters, tolerance=tolerance, alpha=alpha, areas=areas
        )

    defaults = Defaults(
        name="multivariate_drift", description="No classifier can tell the partition from its reference."
    )
    return build_check(asset, judge, defaults, options)


def multivariate(
    sides: tuple[pl.DataFrame, pl.DataFrame],
    *,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    clusters: str | None = None,
    tolerance: float,
    alpha: float,
    areas: Sequence[float],
) -> Told:
    """Return what a classifier between reference and partition tells.

    Args:
        sides: Rows of the reference and of the partition.
        columns: As in `multivariate_drift_check`, and so the rest.
        ignore: See there.
        clusters: See there.
        tolerance: See there.
        alpha: See there.
        areas: Areas of healthy partitions against their own references; see `usual_areas`.
    """
    from quality.drift import multivariate_drift

    before, after = sides
    names = [
        name
        for name in (before.columns if columns is None else columns)
        if name not in (*ignore, clusters) and before.schema.get(name) == after.schema.get(name, False)
    ]
    times = [name for name in names if before.schema[name].is_temporal()]
    codes = None if clusters is None else (days_of(before, clusters), days_of(after, clusters))
    try:
        test = multivariate_drift(
            before, after, columns=[name for name in names if name not in times],
            clusters=codes, tolerance=tolerance, alpha=alpha,
        )  # fmt: skip
    except ContractError as error:
        return Told(verdict="pass", reason=f"not judged: {error}", shown={"columns": len(names)})
    return _of_multivariate(test, areas, alpha)


def usual_areas(measured: Sequence[Mapping[str, Any]]) -> list[float]:  # Any: JSON values
    """Return the areas of earlier partitions that tell what is usual, of what was measured of each, oldest first."""
    out = unless_again([bool(one["alarm"]) for one in measured])
    return [float(one["auc"]) for one, left in zip(measured, out, strict=True) if not left]


def _of_multivariate(test: "MultivariateDrift", areas: Sequence[float], alpha: float) -> Told:
    from quality.drift import usual_area

    most = usual_area(areas, alpha=alpha)
    flagged = test.flagged and (most is None or test.auc > most)
    known = "" if most is None else f"; past partitions reach up to {most:.3f}"
    shown: Metadata = {
        "auc": test.auc, "auc_low": test.low, "auc_high": test.high, "past_pairs": len(areas),
        "rows_reference": test.rows_reference, "rows": test.rows_current,
    }  # fmt: skip
    if most is not None:
        shown["auc_usual"] = most
    if test.columns:
        rows = [(name, f"{drop:.3f}") for name, drop in test.columns]
        shown["by"] = dg.MetadataValue.md(table(("column", "area lost without it"), rows))
    return Told(
        verdict="warn" if flagged else "pass",
        reason=test.reason + known,
        shown=shown,
        measured={"auc": test.auc, "alarm": flagged and most is not None},
    )


def days_of(frame: pl.DataFrame, column: str) -> Any:  # Any: numpy array
    """Return a number for each row: its day where the column holds times, else one for each value."""
    if column not in frame.columns:
        raise ContractError(f"clusters: there is no column {column!r}; columns: {', '.join(frame.columns[:12])}")
    values = frame[column]
    found = values.dt.epoch("d") if isinstance(values.dtype, pl.Date | pl.Datetime) else values.rank("dense")
    return found.fill_null(-1).cast(pl.Int64).to_numpy()


def _past_of(look: Look) -> int:
    """Return how many earlier partitions tell what is usual; none of static ones that are too few to tell it ever."""
    from quality.drift import MIN_PAIRS

    most = most_earlier(look.instance, look.partitions)
    return PAST if most is None or most > MIN_PAIRS else 0


def _chosen(frame: pl.DataFrame, columns: Sequence[str] | None, ignore: Sequence[str]) -> pl.DataFrame:
    names = frame.columns if columns is None else columns
    return frame.select([name for name in names if name in frame.columns and name not in ignore])


def _declared(
    reference: Reference, look: Look, columns: Sequence[str] | None, ignore: Sequence[str]
) -> "Profile | None":
    from quality.profile import Profile, profile

    if reference is None:
        return None
    given = reference(look.partition) if callable(reference) else reference
    if isinstance(given, Profile):
        kept = (
            given.columns
            if columns is None
            else {name: given.columns[name] for name in columns if name in given.columns}
        )
        return Profile(rows=given.rows, columns={name: one for name, one in kept.items() if name not in ignore})
    return profile(_chosen(frame_of(given, of=f"the reference of {look.asset}"), columns, ignore))


def _names(reference: "Profile", columns: Sequence[str] | None) -> list[str]:
    left_out = ("other",) if columns is not None else ("time", "other")
    return [name for name, one in reference.columns.items() if one.kind not in left_out]
