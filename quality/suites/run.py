"""Owns running a suite: compiled as far as it can be, by the pandas engine where it cannot, in one result."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import polars as pl

from quality.readable import damage_told
from quality.suites.arguments import COMMON_ARGUMENTS
from quality.suites.compiled import Answering, evaluate
from quality.suites.declared import Suite, check_suite, columns_of, entries_of, name_of
from quality.suites.engine import answer
from quality.suites.folding import Folding, Unfolded
from quality.suites.format import Format
from quality.suites.plain import brief, cut, plain
from quality.suites.result import MAX_EXAMPLES, ExpectationRow, SuiteResult, worst_severity
from quality.suites.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

Json = dict[str, Any]  # Any: JSON values
BATCH = "penstock-data"
_NO_EXCEPTION = {"raised_exception": False, "exception_traceback": None, "exception_message": None}


def run_suite(
    suite: Suite,
    data: "Source | pl.DataFrame | pl.LazyFrame | pa.Table",
    *,
    result_format: str | Mapping[str, Any] = "SUMMARY",
) -> SuiteResult:
    """Run `suite` on `data` and return what Great Expectations' pandas engine would say.

    Args:
        suite: Suite as JSON, or an `ExpectationSuite`.
        data: Rows: a frame, an Arrow table, or a `Source`, which may know Parquet footers.
        result_format: Great Expectations' `result_format`. With COMPLETE, positions of all failing rows are held.

    Raises:
        DeclarationError: If the suite is wrong, or an expectation cannot be evaluated on these data.
        ContractError: If the data have a column that cannot be judged: of Python objects, or named by a pattern.
        SourceError: If the data cannot be read.
    """
    source = data if isinstance(data, Source) else Source.of(data)
    with damage_told(source.frame if source.footers or isinstance(data, pl.LazyFrame) else data):
        return _run(suite, source, result_format, answer)


def run_folded(suite: Suite, folding: Folding, rows: Callable[[], AbstractContextManager[pl.LazyFrame]]) -> SuiteResult:
    """Return what `run_suite` would say of rows that have passed, from the answers that were gathered meanwhile.

    Args:
        suite: The suite that `folding` gathered for.
        folding: It has taken all rows.
        rows: Lends the same rows, in the same order; called only if something is asked that was not gathered.

    Raises:
        DeclarationError: As `run_suite`.
        SourceError: As `run_suite`.
    """
    if not folding.failed:
        try:
            with damage_told():
                return _run(suite, folding.source(), "SUMMARY", folding.answer_alone, by_pandas=False)
        except Unfolded:
            pass
    with rows() as frame, damage_told():
        return _run(suite, folding.source(frame), "SUMMARY", folding.answer)


def _run(
    suite: Suite,
    source: Source,
    result_format: str | Mapping[str, Any],
    answering: Answering,
    *,
    by_pandas: bool = True,
) -> SuiteResult:
    entries = entries_of(suite)
    check_suite(entries, columns=source.schema)
    form = Format.of(result_format)
    found = evaluate(source, entries, form, answering=answering)
    told: dict[int, Json] = {}
    if found.unsettled and not by_pandas:
        raise Unfolded
    if found.unsettled:
        from quality.suites.fallback import judged_by_pandas

        given = dict(result_format) if isinstance(result_format, Mapping) else result_format
        told = judged_by_pandas(source, {place: entries[place] for place in found.unsettled}, given)
    results: list[Json] = []
    for place, entry in enumerate(entries):
        if place in told:
            results.append({**told[place], "expectation_config": _config(entry), "meta": {}})
            continue
        outcome = found.outcomes[place]
        results.append(
            {
                "success": outcome.success,
                "expectation_config": _config(entry),
                "result": plain(outcome.result),
                "meta": {},
                "exception_info": dict(_NO_EXCEPTION),
            }
        )
    engine = {
        "compiled": len(found.outcomes),
        "without_reading": found.without_reading,
        "by_pandas": [
            {"expectation": place, "type": entries[place]["type"], "columns": columns_of(entries[place]), "why": why}
            for place, why in sorted(found.unsettled.items())
        ],
    }
    return _result(name_of(suite), entries, results, engine)


def _config(entry: Mapping[str, Any]) -> Json:
    kwargs = {key: value for key, value in entry.get("kwargs", {}).items() if key not in COMMON_ARGUMENTS}
    kept = {key: entry[key] for key in ("id", "notes", "description", "severity") if entry.get(key) is not None}
    config = {
        "type": entry["type"],
        "kwargs": {"batch_id": BATCH, **plain(kwargs)},
        "meta": dict(entry.get("meta") or {}),
    }
    return {"severity": "critical", **kept, **config}


def _result(name: str, entries: Sequence[Mapping[str, Any]], results: Sequence[Json], engine: Json) -> SuiteResult:
    met = sum(result["success"] for result in results)
    count = len(results)
    rows = tuple(_row(result, entry) for result, entry in zip(results, entries, strict=True))
    genuine = {
        "success": met == count,
        "results": [{**result, "result": cut(result.get("result") or {})} for result in results],
        "suite_name": name,
        "suite_parameters": {},
        "statistics": {
            "evaluated_expectations": count,
            "successful_expectations": met,
            "unsuccessful_expectations": count - met,
            "success_percent": met / count * 100 if count else None,
        },
        "meta": {"great_expectations_version": version("great-expectations"), "engine": engine},
        "id": None,
    }
    return SuiteResult(success=met == count, severity=worst_severity(rows), rows=rows, genuine=genuine)


def _row(result: Json, entry: Mapping[str, Any]) -> ExpectationRow:
    found = result.get("result") or {}
    observed = found.get("observed_value")
    return ExpectationRow(
        type=entry["type"],
        column=", ".join(columns_of(entry)),
        severity=entry.get("severity") or "critical",
        success=bool(result["success"]),
        observed="" if observed is None else brief(observed),
        unexpected_count=found.get("unexpected_count"),
        unexpected_percent=found.get("unexpected_percent"),
        examples=tuple(brief(value) for value in (found.get("partial_unexpected_list") or [])[:MAX_EXAMPLES]),
    )
