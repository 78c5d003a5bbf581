"""Owns the checks by the small detectors: repeated rows, dependence between columns, leakage of the label, lost keys.

What each finds is told by a function that a pipeline's own stages use too; the detectors are `quality`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import dagster as dg
import polars as pl

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.checks.rows import Rows, frame_of
from assets.metadata import table
from assets.told import Told, of_finding, of_findings
from resources.errors import DeclarationError
from resources.names import choose

PAST = 36
"""Earlier partitions that a partition is compared with."""
Past = Mapping[str, Any]  # Any: JSON values
"""Earlier partition to what was measured of it, oldest first."""


def repeats_check(
    asset: Asset,
    *,
    columns: Sequence[str] | None = None,
    tolerance: float = 0.001,
    past: int = PAST,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that rows come once: in the partition, and in it and the ones before it; it warns.

    Args:
        asset: Asset that is checked, or its key.
        columns: Columns that tell rows apart, such as the key; None takes all.
        tolerance: Largest tolerated share of repeated rows.
        past: Earlier partitions that rows are looked for in.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    _check("repeats", tolerance, past)

    def judge(look: Look) -> Told:
        return repeats(look.frame(), dict(look.past(past)), columns=columns, tolerance=tolerance)

    return build_check(asset, judge, Defaults(name="repeats", description="No row came before."), options)


def repeats(frame: pl.DataFrame, past: Past, *, columns: Sequence[str] | None, tolerance: float) -> Told:
    """Return what repeated rows tell; `past` holds the sketches of earlier partitions."""
    from quality.repeats import RowSketch, judge_repeats, sketch_rows

    current = sketch_rows(frame, columns)
    known = {key: RowSketch.from_json(value) for key, value in past.items()}
    alike = {key: one for key, one in known.items() if one.columns == current.columns and one.engine == current.engine}
    found = judge_repeats(current, alike, tolerance=tolerance, what="rows" if columns is None else "keys")
    shown = {name.replace(" ", "_"): one.numbers["share"] for one in found for name in (one.check,)}
    calm = "; ".join(one.reason for one in found)
    return of_findings(found, calm=calm, shown={**shown, "past": len(alike)}, measured=current.to_json())


def dependence_check(
    asset: Asset,
    *,
    columns: Sequence[str] | None = None,
    tolerance: float = 0.1,
    past: int = PAST,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that columns tell as much about each other as they always did; it warns.

    It sees columns that were shuffled, swapped or joined to the wrong rows, each of which keeps its own distribution.

    Args:
        asset: Asset that is checked, or its key.
        columns: Columns to look at; None takes all.
        tolerance: Tolerated change of Cramér's V, from 0 to 1.
        past: Earlier partitions that tell what is usual; with fewer than 5 nothing is judged.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    _check("dependence", tolerance, past)

    def judge(look: Look) -> Told:
        return dependences(look.frame(), dict(look.past(past)), columns=columns, tolerance=tolerance)

    defaults = Defaults(name="dependence", description="Columns depend on each other as they always did.")
    return build_check(asset, judge, defaults, options)


def dependences(frame: pl.DataFrame, past: Past, *, columns: Sequence[str] | None, tolerance: float) -> Told:
    """Return what the dependence between columns tells; all partitions are cut into bins as the first one was."""
    from quality.dependence import MIN_PAST, Cuts, cuts, dependence, judge_dependence

    for name in columns or ():
        choose("dependence: columns", name, frame.columns)
    names = sorted(frame.columns if columns is None else columns)
    alike = [one for one in past.values() if one["columns"] == names]
    if alike:
        told = alike[-1]["cuts"]
        edges = {name: tuple(of) for name, of in told["edges"].items()}
        by = Cuts(edges=edges, values={name: tuple(of) for name, of in told["values"].items()})
    else:
        by = cuts(frame, columns=names)
    current = dependence(frame, by)
    before = [{(one, two): value for one, two, value in part["pairs"]} for part in alike]
    found = judge_dependence(current, before, rows=frame.height, tolerance=tolerance)
    calm = f"{len(current)} pairs of columns depend on each other as before"
    if len(before) < MIN_PAST:
        calm = f"too little history: needs {MIN_PAST - len(before)} more partitions"
    strongest = sorted(current.items(), key=lambda item: -item[1])[:20]
    rows = [(one, two, f"{value:.2f}") for (one, two), value in strongest]
    measured = {
        "columns": names,
        "cuts": {"edges": {name: list(of) for name, of in by.edges.items()},
                 "values": {name: list(of) for name, of in by.values.items()}},
        "pairs": [[one, two, value] for (one, two), value in current.items()],
    }  # fmt: skip
    shown = {"pairs": len(current), "past": len(before), "strongest": dg.MetadataValue.md(table(("", "", "V"), rows))}
    return of_findings(found, calm=calm, shown=shown, measured=measured)


def leakage_check(
    asset: Asset,
    *,
    label: str,
    columns: Sequence[str] | None = None,
    suspicious: float = 0.95,
    rise: float = 0.1,
    past: int = PAST,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that no column alone tells the label, which mostly is a leak; it warns.

    Args:
        asset: Asset that is checked, or its key.
        label: Column of two values.
        columns: Columns to look at; None takes all.
        suspicious: Largest area under the ROC curve that needs no explanation.
        rise: Tolerated rise above the largest area of the past.
        past: Earlier partitions that tell what is usual.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If a number is out of range, or an option is wrong.
    """
    _check("leakage", rise, past)
    if not 0.5 <= suspicious <= 1:
        raise DeclarationError(
            f"leakage: suspicious is {suspicious}, an area under the ROC curve lies between 0.5 and 1"
        )

    def judge(look: Look) -> Told:
        return leakage(
            look.frame(), dict(look.past(past)), label=label, columns=columns, suspicious=suspicious, rise=rise
        )

    return build_check(asset, judge, Defaults(name="leakage", description="No column tells the label alone."), options)


def leakage(
    frame: pl.DataFrame,
    past: Past,
    *,
    label: str,
    columns: Sequence[str] | None = None,
    suspicious: float = 0.95,
    rise: float = 0.1,
) -> Told:
    """Return what columns that tell the label alone tell; `past` holds the areas of earlier partitions."""
    from quality.leakage import judge_leakage, single_feature_auc

    areas = single_feature_auc(frame, label, columns)
    found = judge_leakage(areas, list(past.values()), suspicious=suspicious, rise=rise)
    ordered = sorted(areas.items(), key=lambda item: -item[1])
    most = (
        f"{ordered[0][0]} tells the label best, with an AUC of {ordered[0][1]:.3f}" if ordered else "nothing to look at"
    )
    drawn = dg.MetadataValue.md(table(("column", "AUC"), [(name, f"{area:.3f}") for name, area in ordered]))
    shown = {"largest_auc": ordered[0][1]} if ordered else {}
    return of_findings(found, calm=most, shown={**shown, "past": len(past), "areas": drawn}, measured=areas)


def references_check(
    asset: Asset,
    *,
    column: str,
    known: "Rows | pl.DataFrame",
    key: str | None = None,
    table: str = "the other table",
    tolerance: float = 0.0,
    **options: Unpack[CheckOptions],
) -> dg.AssetChecksDefinition:
    """Build the check that every key is one that another table knows; more lost keys than tolerated block.

    Args:
        asset: Asset that is checked, or its key.
        column: Foreign key.
        known: The other table, or a function of the partition key that returns it.
        key: Its key; None takes the name of `column`.
        table: Its name, for the reason.
        tolerance: Largest tolerated share of lost keys.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If the tolerance is out of range, or an option is wrong.
    """
    _check("references", tolerance, 0)

    def judge(look: Look) -> Told:
        from quality.references import judge_references

        given = known(look.partition) if callable(known) else known
        other, frame, name = frame_of(given, of=table), look.frame(), key or column
        choose("references: column", column, frame.columns)
        choose("references: key", name, other.columns)
        return of_finding(judge_references(frame[column], other[name], table=table, tolerance=tolerance))

    defaults = Defaults(name="references", description=f"Every {column} is in {table}.", blocking=True)
    return build_check(asset, judge, defaults, options)


def _check(name: str, tolerance: float, past: int) -> None:
    if not 0 <= tolerance < 1:
        raise DeclarationError(f"{name}: a tolerance lies between 0 and 1, got {tolerance}")
    if past < 0:
        raise DeclarationError(f"{name}: past is {past}, give a number of partitions, 0 at least")
