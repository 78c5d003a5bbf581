"""Owns Great Expectations suites: checked cheaply when declared, run by the genuine library on a data frame.

A suite is the library's own JSON: a list of {"type", "kwargs", "severity", "meta"}, or an object that holds it under
"expectations". The library is imported only to run one, since that costs 8 CPU s.
"""

import math
import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, cast

from quality.expectation_types import ARGUMENTS, COMMON_ARGUMENTS, FINDS_COLUMNS, SQL_ONLY, arguments
from quality.verdicts import Verdict
from resources.errors import DeclarationError
from resources.names import unknown_name

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    Frame = pl.DataFrame | pa.Table

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""From worst to least."""
Suite = Sequence[Mapping[str, Any]] | Mapping[str, Any]  # Any: JSON values, given by the user

MAX_EXAMPLES = 5
_ENTRY_KEYS = ("type", "kwargs", "meta", "severity", "id", "notes", "description", "rendered_content", "windows")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationRow:
    """The result of one expectation, in the suite's order.

    Attributes:
        type: Type of the expectation.
        column: Column or columns, separated by ", "; empty for the table.
        severity: Its severity.
        success: Whether the data meet it.
        observed: What was observed, as text; empty where only failing rows are counted.
        unexpected_count: Rows that break it, or None where it is not about rows.
        unexpected_percent: Their percentage among the rows with a value, or None.
        examples: Up to five of their values, as text.
    """

    type: str
    column: str
    severity: Severity
    success: bool
    observed: str
    unexpected_count: int | None
    unexpected_percent: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The result of a suite.

    Attributes:
        success: Whether all expectations are met.
        severity: Worst severity among those that are not, or None.
        rows: One result per expectation.
        genuine: The library's own result, as JSON with finite numbers, without its clock.
    """

    success: bool
    severity: Severity | None
    rows: tuple[ExpectationRow, ...]
    genuine: Mapping[str, Any]  # Any: JSON values

    @property
    def verdict(self) -> Verdict:
        """Verdict of the worst failure: critical blocks, warning warns, info passes."""
        verdicts: dict[Severity | None, Verdict] = {"critical": "block", "warning": "warn"}
        return verdicts.get(self.severity, "pass")

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON value that `suite_from_json` reads back."""
        return asdict(self)


def suite_from_json(value: Mapping[str, Any]) -> SuiteResult:
    """Return the result that `SuiteResult.to_json` wrote."""
    rows = [ExpectationRow(**row) for row in value["rows"]]
    kept = tuple(replace(row, examples=tuple(row.examples)) for row in rows)
    return SuiteResult(success=value["success"], severity=value["severity"], rows=kept, genuine=value["genuine"])


def check_suite(suite: Suite, *, columns: Collection[str] | None = None) -> None:
    """Check a suite without importing the library.

    Args:
        suite: Suite as JSON.
        columns: Columns of the data, if they are known.

    Raises:
        DeclarationError: If an expectation has an unknown type, argument, severity or column, lacks an argument, or
            runs on SQL only.
    """
    for index, entry in enumerate(_entries(suite)):
        place = f"expectation {index}"
        for key in entry:
            _known(f"key in {place}", key, _ENTRY_KEYS)
        kind = str(entry.get("type"))
        _known(f"expectation type in {place},", kind, ARGUMENTS)
        if kind in SQL_ONLY:
            raise DeclarationError(f"{place}, {kind}, needs a SQL database; the data are a data frame")
        _known(f"severity in {place}, {kind},", str(entry.get("severity", "critical")), SEVERITIES)
        _check_arguments(f"{place}, {kind}", kind, entry.get("kwargs", {}))
        for column in _columns_of(entry) if columns is not None and kind not in FINDS_COLUMNS else ():
            _known(f"column in {place}, {kind},", column, columns or ())


def run_suite(suite: Suite, data: "Frame") -> SuiteResult:
    """Run `suite` on `data` with Great Expectations' pandas engine.

    Only the columns that the suite names are converted to pandas; all others are placeholders of one byte a row.

    Raises:
        DeclarationError: If the suite is wrong, or an expectation cannot be evaluated on these data.
    """
    table = cast("pa.Table", data.to_arrow() if hasattr(data, "to_arrow") else data)  # a Polars frame or an Arrow table
    check_suite(suite, columns=table.column_names)
    entries = _entries(suite)
    return _summary(_validate(entries, _frame(table, entries)), entries)


def _entries(suite: Suite) -> list[Mapping[str, Any]]:
    found: Any = suite.get("expectations") if isinstance(suite, Mapping) else suite
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise DeclarationError('a suite is a list of expectations, or an object with a list "expectations"')
    for index, entry in enumerate(cast("Sequence[object]", found)):
        if not isinstance(entry, Mapping) or "type" not in entry:
            raise DeclarationError(f'expectation {index} is {entry!r}; expected an object with "type" and "kwargs"')
    return list(cast("Sequence[Mapping[str, Any]]", found))


def _known(what: str, name: str, allowed: Iterable[str]) -> None:
    names = list(allowed)
    if name not in names:
        raise DeclarationError(unknown_name(what, name, names))


def _check_arguments(place: str, kind: str, given: object) -> None:
    if not isinstance(given, Mapping):
        raise DeclarationError(f"{place}: kwargs is {given!r}, expected an object")
    required, allowed = arguments(kind)
    for name in cast("Mapping[str, object]", given):
        _known(f"argument in {place},", name, (*allowed, *COMMON_ARGUMENTS))
    missing = [name for name in required if name not in given]
    if missing:
        raise DeclarationError(f"{place}: argument {missing[0]!r} is missing; it takes {', '.join(allowed)}")


def _columns_of(entry: Mapping[str, Any]) -> list[str]:
    kwargs = entry.get("kwargs", {})
    single = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return [str(name) for name in (*single, *(kwargs.get("column_list") or ()))]


def _frame(table: "pa.Table", entries: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import numpy as np

    named = {name for entry in entries for name in _columns_of(entry)}
    # A condition on other columns is text or a nested object: a column counts as named where its name occurs in it.
    conditions = str([entry.get("kwargs", {}).get("row_condition") for entry in entries])
    needed = [name for name in table.column_names if name in named or name in conditions]
    frame = table.select(needed).to_pandas()
    for place, name in enumerate(table.column_names):
        if name not in needed:
            frame.insert(place, name, np.zeros(table.num_rows, dtype=np.int8))
    return frame


def _validate(entries: Sequence[Mapping[str, Any]], frame: "pd.DataFrame") -> dict[str, Any]:
    """Return the library's result as plain JSON."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():  # the library uses modules that Python and pandas deprecate
        warnings.simplefilter("ignore")
        import great_expectations as gx

        context: Any = gx.get_context(mode="ephemeral")  # Any: its own annotations are wrong
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("penstock").add_dataframe_asset("data")
        batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
        suite = gx.ExpectationSuite(name="suite", expectations=[_config(*item) for item in enumerate(entries)])
        return _plain(batch.validate(suite, result_format="SUMMARY").to_json_dict())


def _config(index: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the library's configuration of an expectation, with its place in the suite as its id.

    Results come in another order than the suite's, failed evaluations first: the id tells which is whose.
    """
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    kept = {key: value for key, value in entry.items() if key not in ("rendered_content", "windows")}
    kwargs = {key: value for key, value in entry.get("kwargs", {}).items() if key not in COMMON_ARGUMENTS}
    config: dict[str, Any] = {"severity": "critical", **kept, "kwargs": kwargs, "id": str(index)}
    try:
        ExpectationConfiguration(**config).to_domain_obj()
    except ValueError as error:  # pydantic's: a header line, then name and message of each wrong argument in turn
        wrong = ": ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise DeclarationError(f"expectation {index}, {entry['type']}: {wrong}") from error
    return config


def _plain(value: Any) -> Any:
    """Return `value` as JSON with finite numbers, where the library leaves numpy scalars, sets, times and NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _summary(result: dict[str, Any], entries: Sequence[Mapping[str, Any]]) -> SuiteResult:
    result["meta"].get("batch_markers", {}).pop("ge_load_time", None)  # equal data give equal results
    result["results"].sort(key=lambda item: int(item["expectation_config"]["id"]))
    for index, (item, entry) in enumerate(zip(result["results"], entries, strict=True)):
        _refuse_exception(index, entry, item.get("exception_info") or {})
        item["expectation_config"].pop("id")
        if "id" in entry:
            item["expectation_config"]["id"] = entry["id"]
    rows = tuple(_row(item, entry) for item, entry in zip(result["results"], entries, strict=True))
    failed = {row.severity for row in rows if not row.success}
    return SuiteResult(
        success=not failed,
        severity=next((severity for severity in SEVERITIES if severity in failed), None),
        rows=rows,
        genuine=result,
    )


def _refuse_exception(index: int, entry: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    # One exception of the expectation, or one for each metric that it needs.
    for found in (info,) if "raised_exception" in info else info.values():
        if found["raised_exception"]:
            about = ", ".join(_columns_of(entry))
            told = str(found["exception_message"]).strip().splitlines()[0]
            raise DeclarationError(
                f"expectation {index}, {entry['type']}{f' on {about}' if about else ''}, cannot be evaluated: {told}"
            )


def _row(item: Mapping[str, Any], entry: Mapping[str, Any]) -> ExpectationRow:
    found = item.get("result") or {}
    observed = found.get("observed_value")
    return ExpectationRow(
        type=entry["type"],
        column=", ".join(_columns_of(entry)),
        severity=entry.get("severity", "critical"),
        success=bool(item["success"]),
        observed="" if observed is None else str(observed),
        unexpected_count=found.get("unexpected_count"),
        unexpected_percent=found.get("unexpected_percent"),
        examples=tuple(str(value) for value in (found.get("partial_unexpected_list") or [])[:MAX_EXAMPLES]),
    )
