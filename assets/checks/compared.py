"""Owns how the profile of a partition is judged by those of earlier ones, and what tests of drift tell Dagster.

`drift_check` and the drift check of a pipeline's features go by it; where profiles come from, they know.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assets.metadata import Metadata, drift_table
from assets.told import Told, joined
from quality import wording

if TYPE_CHECKING:
    from quality.drift import ColumnDrift, Past
    from quality.profile import Profile

_CERTAIN = ("type", "absent")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """How a partition is compared, and what of it is told.

    Attributes:
        window: Partitions before each that are its reference, unless one is declared.
        declared: Whether the reference is declared, so that all is told from the first partition on.
        tolerance: Largest tolerated effect, from 0 to 1.
        gross: Largest effect that a season may have: what is beyond is told while the past is short.
        categorical: Numeric columns that hold codes of categories.
        alpha: Probability at which a healthy partition may pass what is usual, all columns together.
        seasons: Whether what is usual must be known before less than `gross` is told.
    """

    window: int
    tolerance: float
    gross: float
    declared: bool = False
    categorical: Sequence[str] = ()
    alpha: float = 0.01
    seasons: bool = True


def against_the_past(
    current: "Profile",
    earlier: "Sequence[Profile]",
    taught: Sequence[bool],
    *,
    against: "Profile",
    names: Sequence[str],
    rule: DriftRule,
) -> tuple[Told, bool]:
    """Return what drift of `names` tells, and whether it is an alarm that knows what is usual, or needs not to.

    Args:
        current: The partition.
        earlier: Earlier partitions, oldest first.
        taught: Which of them tell what is usual; those of other types than `current` do not anyway.
        against: What it is compared with: the reference that was declared, or the window before it (`window_of`).
        names: Columns of `against` to compare.
        rule: See there.
    """
    from quality.drift import MIN_PAIRS, gross_changes, past_effects

    known = [name for name in names if name in current.columns]
    usual = past_effects(
        earlier, rule.window, columns=known, categorical=_among(known, rule.categorical), alpha=rule.alpha,
        reference=against if rule.declared else None, shorter=rule.seasons and not rule.declared,
        taught=[told and one.types == current.types for one, told in zip(earlier, taught, strict=True)],
    )  # fmt: skip
    tests = _tests(against, current, names, rule, usual)
    missing = max(0, MIN_PAIRS - usual.pairs) if rule.seasons else 0
    gross = None
    if missing and not rule.declared:
        gross = gross_changes(tests, earlier, current, usual.effects, limit=rule.gross)
    more = {"past_pairs": usual.pairs, "rows": current.rows}
    told = of_drift(tests, columns=len(names), more=more, missing=missing, gross=gross)
    # Another alarm raised before anything is known of what is usual may be the season's: it teaches it.
    sure = usual.pairs >= MIN_PAIRS or any(test.test not in _CERTAIN for test in gross or ())
    return told, told.verdict != "pass" and sure


def window_of(profiles: "Sequence[Profile]", window: int) -> "Profile | None":
    """Return the merge of the last profiles, as far back as they have the types of the last one."""
    from quality.profile import merge

    last = profiles[-window:]
    alike = [place for place in range(len(last)) if all(part.types == last[-1].types for part in last[place:])]
    return merge(last[alike[0] :]) if last else None


def of_drift(
    tests: "Sequence[ColumnDrift]",
    *,
    columns: int,
    more: Metadata | None = None,
    missing: int = 0,
    gross: "Sequence[ColumnDrift] | None" = None,
) -> Told:
    """Return what tests of columns tell: the flagged ones, and a table of all.

    Args:
        tests: The tests.
        columns: How many columns were compared.
        more: What else is shown.
        missing: Partitions that the past lacks to tell drift from a season; 0 where it can tell, or is not asked.
        gross: Those that no season explains (`quality.drift.gross_changes`): nothing else is flagged while partitions
            are missing. None flags all, and the reason says that they are missing.
    """
    if not tests:
        return Told(verdict="pass", reason="no rows to compare", shown=more or {})
    told = {(test.column, test.test): test for test in gross or ()}
    others = tests if gross is None else [replace(test, flagged=False) for test in tests]
    judged = [told.get((test.column, test.test), test) for test in others]
    flagged = [test for test in judged if test.flagged]
    silent = [test for test, said in zip(tests, judged, strict=True) if test.flagged and not said.flagged]
    reasons = [joined([test.reason for test in flagged])] if flagged else []
    if missing and (silent or any(test.test not in _CERTAIN for test in flagged)):
        needed = f"too little history to tell drift from a season: needs {wording.count(missing, 'more partition')}"
        beyond = any(test.test not in _CERTAIN for test in told.values())
        reasons.append(needed + (", but no season goes so far" if beyond else ""))
    if silent:
        named = joined([f"{test.column} ({test.test} {test.effect:.3f})" for test in silent], ", ")
        reasons.append(f"not judged: {named}")
    reason = "; ".join(reasons) or f"no drift in {wording.count(columns, 'column')}"
    numbers = {"flagged": len(flagged), "columns": columns, "table": drift_table(judged)}
    return Told(verdict="warn" if flagged else "pass", reason=reason, shown={**numbers, **(more or {})})


def _tests(
    reference: "Profile", current: "Profile", names: Sequence[str], rule: DriftRule, past: "Past"
) -> "tuple[ColumnDrift, ...]":
    """Compare the columns `names`; of those that the partition lacks, say that they are gone."""
    from quality.drift import drift
    from quality.profile import Profile

    present = [name for name in names if name in current.columns]
    codes = _among(present, rule.categorical)
    found = drift(reference, current, columns=present, categorical=codes, tolerance=rule.tolerance, past=past)
    gone = {
        name: reference.columns[name]
        for name in names
        if name not in present and reference.columns[name].kind != "time"
    }
    lost = Profile(rows=reference.rows, columns=gone)
    return found + (drift(lost, current, tolerance=rule.tolerance) if gone else ())


def _among(names: Collection[str], chosen: Sequence[str]) -> list[str]:
    return [name for name in chosen if name in names]
