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
from assets.checks.rows import Rows, frame_of
from assets.metadata import Metadata, drift_table, table
from assets.told import Told, joined
from quality import wording
from quality.healthy import unless_again
from resources.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    from quality.drift import ColumnDrift, MultivariateDrift, Past
    from quality.profile import Profile

Reference: TypeAlias = "Profile | pl.DataFrame | pl.LazyFrame | Callable[[str | None], Any] | None"  # Any: a table
PAST = 36
"""Earlier partitions that tell what is usual."""
_NO_SEASON = ("type", "absent")
"""Tests of what no season does."""


def drift_check(
    asset: Asset,
    *,
    reference: Reference = None,
    window: int = 7,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    tolerance: float = 0.1,
    past: int = PAST,
    alpha: float = 0.01,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that no column is distributed otherwise than in its reference; it warns.

    Until 8 partitions were compared with those before them the past cannot tell drift from a season, such as the first
    weekend after five weekdays: then only a column that is gone or of another type is told, and what moved is named
    without a warning. Where a reference is declared there is a warning from the first partition on, which says so.

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
        past: Earlier partitions that tell what is usual; from 8 that have some before them on they are a third key.
            Fewer than 8 ask for no such key, and warn from the second partition on.
        alpha: Probability at which a healthy partition may pass what is usual, all columns together.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    for name, value, low in (("window", window, 1), ("past", past, 0)):
        if value < low:
            raise DeclarationError(f"drift: {name} is {value}, give a number of partitions, {low} at least")
    for name, share in (("tolerance", tolerance), ("alpha", alpha)):
        if not 0 <= share < 1:
            raise DeclarationError(f"drift: {name} is {share}, it lies between 0 and 1")

    def judge(look: Look) -> Told:
        from quality.drift import MIN_PAIRS, past_effects
        from quality.profile import Profile, profile

        current = profile(_chosen(look.frame(), columns, ignore))
        earlier = [value for _, value in look.past(past + window)]
        before = [Profile.from_json(value["profile"]) for value in earlier]
        against = _declared(reference, look, columns, ignore) or _window(before, window)
        if against is None:
            reason = f"nothing to compare with: no earlier partition of {look.asset} was checked"
            return Told(verdict="pass", reason=reason, measured={"profile": current.to_json(), "alarm": False})
        names = _names(against, columns)
        known = [name for name in names if name in current.columns]
        # Those that raised an alarm, or have other types, say nothing of what is usual.
        taught = [not value["alarm"] and one.types == current.types for one, value in zip(before, earlier, strict=True)]
        shorter = reference is None and past >= MIN_PAIRS
        usual = past_effects(
            before, window, columns=known, categorical=_codes(categorical, known), alpha=alpha,
            reference=None if reference is None else against, taught=taught, shorter=shorter,
        )  # fmt: skip
        tests = _tests(against, current, names, categorical=categorical, tolerance=tolerance, past=usual)
        missing = max(0, MIN_PAIRS - usual.pairs) if past >= MIN_PAIRS else 0
        told = of_drift(
            tests, columns=len(names), more={"past_pairs": usual.pairs, "rows": current.rows},
            missing=missing, abstains=reference is None,
        )  # fmt: skip
        # An alarm raised before anything is known of what is usual may be the season's: it teaches it.
        alarm = told.verdict != "pass" and usual.pairs >= MIN_PAIRS
        return replace(told, measured={"profile": current.to_json(), "alarm": alarm})

    defaults = Defaults(name="drift", description="No column is distributed otherwise than in its reference.")
    return build_check(asset, judge, defaults, options)


def of_drift(
    tests: "Sequence[ColumnDrift]",
    *,
    columns: int,
    more: Metadata | None = None,
    missing: int = 0,
    abstains: bool = False,
) -> Told:
    """Return what tests of columns tell: the flagged ones, and a table of all.

    Args:
        tests: The tests.
        columns: How many columns were compared.
        more: What else is shown.
        missing: Partitions that the past lacks to tell drift from a season; 0 where it can tell, or is not asked.
        abstains: Whether nothing that a season may do is flagged while they are missing; else the reason says that they
            are.
    """
    if not tests:
        return Told(verdict="pass", reason="no rows to compare", shown=more or {})
    moved = [test for test in tests if test.flagged and missing and test.test not in _NO_SEASON]
    judged = [replace(test, flagged=False) if abstains and test in moved else test for test in tests]
    flagged = [test for test in judged if test.flagged]
    reasons = [joined([test.reason for test in flagged])] if flagged else []
    if moved:
        needed = wording.count(missing, "more partition")
        reasons.append(f"too little history to tell drift from a season: needs {needed}")
    if moved and abstains:
        reasons.append(
            "not judged: " + joined([f"{test.column} ({test.test} {test.effect:.3f})" for test in moved], ", ")
        )
    reason = "; ".join(reasons) or f"no drift in {wording.count(columns, 'column')}"
    numbers = {"flagged": len(flagged), "columns": columns, "table": drift_table(judged)}
    return Told(verdict="warn" if flagged else "pass", reason=reason, shown={**numbers, **(more or {})})


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


def _window(profiles: "Sequence[Profile]", window: int) -> "Profile | None":
    """Return the merge of the last profiles, as far back as they have the types of the last one."""
    from quality.profile import merge

    last = profiles[-window:]
    alike = [place for place in range(len(last)) if all(part.types == last[-1].types for part in last[place:])]
    return merge(last[alike[0] :]) if last else None


def _names(reference: "Profile", columns: Sequence[str] | None) -> list[str]:
    left_out = ("other",) if columns is not None else ("time", "other")
    return [name for name, one in reference.columns.items() if one.kind not in left_out]


def _tests(
    reference: "Profile",
    current: "Profile",
    names: Sequence[str],
    *,
    categorical: Sequence[str],
    tolerance: float,
    past: "Past | None",
) -> "tuple[ColumnDrift, ...]":
    """Compare the columns `names`; of those that the partition lacks, say that they are gone."""
    from quality.drift import drift
    from quality.profile import Profile

    present = [name for name in names if name in current.columns]
    codes = _codes(categorical, present)
    found = drift(reference, current, columns=present, categorical=codes, tolerance=tolerance, past=past)
    gone = {
        name: reference.columns[name]
        for name in names
        if name not in present and reference.columns[name].kind != "time"
    }
    return found + (drift(Profile(rows=reference.rows, columns=gone), current, tolerance=tolerance) if gone else ())


def _codes(categorical: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in categorical if name in names]
