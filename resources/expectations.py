"""Owns the results of expectation suites on stored datasets: run once for a suite and a version, and remembered."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from quality.suites.result import SuiteResult, suite_from_json
from resources.canonical import digest_value
from resources.storage.datasets import lent_frame
from resources.storage.memo import recall, remember
from resources.storage.store import Store


def suite_result(store: Store, suite: Sequence[Mapping[str, Any]], digest: str) -> SuiteResult:  # Any: JSON values
    """Run a suite on a dataset, or recall what it said of the same data.

    Args:
        store: Where the dataset lies.
        suite: Expectations in the library's own JSON form.
        digest: Version of the dataset.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If one was altered.
    """
    recipe = digest_value({"stage": "expectations", "suite": list(suite), "dataset": digest})
    known = recall(store, recipe)
    if known is not None:
        return suite_from_json(known)

    from quality.suites.run import run_suite
    from quality.suites.source import Source

    with lent_frame(store, digest) as (frame, footers):
        result = run_suite(list(suite), Source.of(frame, footers=footers))
    remember(store, recipe, asdict(result))
    return result
