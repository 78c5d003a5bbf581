"""Owns the way from a result to Great Expectations' own objects, stores and Data Docs; it imports the library."""

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quality.suites.declared import Suite, entries_of, name_of
from quality.suites.fallback import configuration
from quality.suites.result import SuiteResult
from quality.suites.run import BATCH

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult


def genuine_result(result: SuiteResult, *, run_time: datetime | None = None) -> "ExpectationSuiteValidationResult":
    """Return the result as the library's own object, which its stores keep and its renderers show.

    Arguments of expectations are those that the library makes of what was declared: limits as floats, row conditions as
    objects.

    Args:
        result: Result of a suite.
        run_time: When it was made; now by default.
    """
    with _quiet():
        from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
        from great_expectations.core.run_identifier import RunIdentifier
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        told = deepcopy(dict(result.genuine))
        results: list[Any] = []
        for item in told["results"]:
            declared = item["expectation_config"]
            kwargs = {key: value for key, value in declared["kwargs"].items() if key != "batch_id"}
            arguments: dict[str, Any] = {**declared, "kwargs": kwargs}
            made: Any = ExpectationConfiguration(**arguments).to_domain_obj().configuration
            made.kwargs["batch_id"] = BATCH
            parts = {key: item[key] for key in ("success", "result", "meta", "exception_info")}
            results.append(ExpectationValidationResult(expectation_config=made, **parts))
        moment = run_time or datetime.now(UTC)
        run = RunIdentifier(run_name=told["suite_name"], run_time=moment)
        return ExpectationSuiteValidationResult(
            success=told["success"],
            results=results,
            suite_name=told["suite_name"],
            suite_parameters={},
            statistics=told["statistics"],
            meta={**told["meta"], "run_id": run, "validation_time": moment, "batch_spec": {}},
            batch_id=BATCH,
        )


def write_data_docs(suite: Suite, result: SuiteResult, folder: Path, *, run_time: datetime | None = None) -> Path:
    """Store suite and result in a Great Expectations project in `folder`, render its Data Docs and return their page.

    The project is made where there is none; results of earlier runs stay in it.

    Args:
        suite: The suite as it was declared.
        result: What it came to.
        folder: Folder of the project.
        run_time: When it was run; now by default.

    Returns:
        The index page of the Data Docs, an HTML file.
    """
    with _quiet():
        import great_expectations as gx
        from great_expectations.data_context.types.resource_identifiers import (
            ExpectationSuiteIdentifier,
            ValidationResultIdentifier,
        )

        context: Any = gx.get_context(mode="file", project_root_dir=str(folder))  # Any: its own annotations are wrong
        configs = [configuration(place, entry) for place, entry in enumerate(entries_of(suite))]
        named = [{key: value for key, value in config.items() if key != "id"} for config in configs]
        context.suites.add_or_update(gx.ExpectationSuite(name=name_of(suite), expectations=named))
        made: Any = genuine_result(result, run_time=run_time)
        about = ExpectationSuiteIdentifier(name=name_of(suite))
        context.validation_results_store.store_validation_results(
            suite_validation_result=made,
            suite_validation_result_identifier=ValidationResultIdentifier(
                expectation_suite_identifier=about, run_id=made.meta["run_id"], batch_identifier=BATCH
            ),
            expectation_suite_identifier=about,
        )
        pages = context.build_data_docs()
    return Path(next(iter(pages.values())).removeprefix("file://"))


@contextmanager
def _quiet() -> Generator[None]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():  # the library uses modules that Python and pandas deprecate
        warnings.simplefilter("ignore")
        yield
