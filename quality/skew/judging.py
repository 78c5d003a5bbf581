"""Owns the rules of a skew check: which difference blocks, which warns.

A share blocks where its lower bound (Wilson, 1927) is above the tolerance, and warns where only the share itself is: a
few cells of many are no proof.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from quality import wording
from quality.skew.report import ColumnSkew, Rate, SideSkew, SkewReport
from quality.skew.rule import SkewRule
from quality.verdicts import VERDICTS, Finding, Verdict


def judge(report: SkewReport, rule: SkewRule) -> tuple[Finding, ...]:
    """Return every rule applied to what was measured, the worst finding first."""
    found = [*_rows(report, rule), *_schema(report), *(_column(column, rule) for column in report.columns)]
    return tuple(sorted(found, key=lambda finding: -VERDICTS.index(finding.verdict)))


def _verdict(found: Rate, tolerance: float) -> Verdict:
    if found.low > tolerance or (tolerance == 0 and found.count):
        return "block"
    return "warn" if found.share > tolerance else "pass"


def _rows(report: SkewReport, rule: SkewRule) -> Iterator[Finding]:
    named = " and ".join(rule.named_by)
    if not report.paired:
        hint = report.slip.reason if report.slip else f"compare the examples of {named} on both sides"
        reason = f"no row of serving has the {named} of a row of training: {hint}"
        yield Finding(check="rows", verdict="block", reason=reason)
    elif report.slip is not None:
        reason = f"time-zone slip: {report.slip.reason}; {wording.percent(report.slip.share)} of rows fit then"
        yield Finding(check="clock", verdict="block", reason=reason, numbers=asdict(report.slip))
    for name, side, other in (("training", report.training, "serving"), ("serving", report.serving, "training")):
        yield _unpaired(name, side, other, rule)
        yield _repeated(name, side, rule, named)
        if side.keyless:
            reason = f"{wording.count(side.keyless, 'row')} of {name} lacks {named}: not compared"
            yield Finding(check=f"keys of {name}", verdict="warn", reason=reason, numbers={"rows": side.keyless})
    if report.late is not None:
        reason = f"{_share(report.late)} of the compared rows are late: their newest value arrived after the event time"
        yield Finding(check="late data", verdict="pass", reason=reason, numbers=asdict(report.late))


def _unpaired(name: str, side: SideSkew, other: str, rule: SkewRule) -> Finding:
    verdict = _verdict(side.unpaired, rule.unpaired)
    reason = f"missing rows: {other} lacks {_share(side.unpaired)} of the rows of {name}"
    if side.unpaired_examples and verdict != "pass":
        reason += f", such as {_key(side.unpaired_examples[0])}"
    if side.unlike and verdict != "pass":
        reason += f"; they are unlike the others in {', '.join(side.unlike)}"
    return Finding(check=f"rows of {name}", verdict=verdict, reason=reason, numbers=asdict(side.unpaired))


def _repeated(name: str, side: SideSkew, rule: SkewRule, named: str) -> Finding:
    reason = f"duplicated rows: {_share(side.duplicated)} of the rows of {name} repeat the {named} of another"
    verdict = _verdict(side.duplicated, rule.duplicates)
    if side.duplicated_examples and verdict != "pass":
        reason += f", such as {_key(side.duplicated_examples[0])}"
        reason += ": if they are rows of their own, name more columns as keys"
    return Finding(check=f"duplicates in {name}", verdict=verdict, reason=reason, numbers=asdict(side.duplicated))


def _schema(report: SkewReport) -> Iterator[Finding]:
    was = {found.serving: found for found in report.counterparts}
    for found in report.counterparts:
        same = (
            f"it has the values of training's {found.training}"
            if found.how == "renamed"
            else f"it follows from training's {found.training}"
        )
        reason = f"{found.serving}: serving alone has it; {same}"
        yield Finding(check=f"column {found.serving}", verdict="warn", reason=reason, numbers=asdict(found))
    told = {found.training for found in report.counterparts}
    for name in report.training.columns:
        if name not in told:
            yield Finding(
                check=f"column {name}", verdict="warn", reason=f"{name}: serving lacks this column of training"
            )
    for name in report.serving.columns:
        if name not in was:
            reason = f"{name}: training lacks this column of serving"
            yield Finding(check=f"column {name}", verdict="pass", reason=reason)
    for name in report.changed:
        types = report.column(name).types
        reason = f"{name}: its type is {types[0]} in training and {types[1]} in serving"
        yield Finding(check=f"type of {name}", verdict="warn", reason=reason)
    for name, reason in report.apart.items():
        yield Finding(check=f"type of {name}", verdict="block", reason=f"{name}: not compared, {reason}")


def _column(column: ColumnSkew, rule: SkewRule) -> Finding:
    verdict, found = _verdict(column.mismatch, rule.tolerance), column.mismatch
    reason = f"{column.column}: {_share(found)} of cells differ"
    if found.count:
        reason += f" (at least {_percent(found.low)}, tolerated {_percent(rule.tolerance)})"
    for kind in column.kinds:
        reason += f"; {kind.name}: {kind.reason}"
    if column.parting is not None:
        reason += f"; they part at {column.parting.step}: {column.parting.reason}"
    return Finding(check=f"column {column.column}", verdict=verdict, reason=reason, numbers=asdict(found))


def _share(found: Rate) -> str:
    return f"{found.count:,} of {found.rows:,} ({_percent(found.share)})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _key(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())
