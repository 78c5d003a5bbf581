"""Owns the check by a Great Expectations suite, and what any run of a suite tells Dagster."""

from typing import TYPE_CHECKING, Unpack

import dagster as dg

from assets.checks.building import Asset, CheckOptions, Defaults, Look, build_check
from assets.metadata import suite_metadata
from assets.told import Told, joined
from quality.suites.declared import Suite, check_suite

if TYPE_CHECKING:
    from quality.suites.result import SuiteResult


def suite_check(asset: Asset, *, suite: Suite, **options: Unpack[CheckOptions]) -> dg.AssetChecksDefinition:
    """Build the check that a Great Expectations suite holds; see `quality.suites.run` for how it runs.

    A failed expectation of severity critical blocks, of warning warns, of info is named and passes.

    Args:
        asset: Asset that is checked, or its key.
        suite: Suite as JSON, the library's own, or an `ExpectationSuite`.
        options: See `CheckOptions`.

    Raises:
        DeclarationError: If the suite or an option is wrong.
    """
    check_suite(suite)

    def judge(look: Look) -> Told:
        from quality.suites.run import run_suite

        return of_suite(run_suite(suite, look.given()))

    defaults = Defaults(name="expectations", description="The Great Expectations suite holds.", blocking=True)
    return build_check(asset, judge, defaults, options)


def of_suite(result: "SuiteResult") -> Told:
    """Return what the result of a suite tells: which expectations fail, and a table of all."""
    failed = [f"{row.type} on {row.column or 'the table'}" for row in result.rows if not row.success]
    held = f"{len(result.rows) - len(failed)} of {len(result.rows)} expectations hold"
    return Told(verdict=result.verdict, reason=joined([held, *failed]), shown=suite_metadata(result))
