"""Owns the results of expectation suites on stored datasets: run once for a suite and a version, and remembered."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from quality.suites.result import SuiteResult, suite_from_json
from resources.canonical import digest_value
from resources.storage.datasets import lent_frame
from resources.storage.memo import recall, remember
from resources.storage.store import Store

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from quality.contract import Contract
    from quality.suites.folding import Folding

Suite = Sequence[Mapping[str, Any]]  # Any: JSON values


def suite_result(store: Store, suite: Suite, digest: str) -> SuiteResult:
    """Run a suite on a dataset, or recall what it said of the same data.

    Args:
        store: Where the dataset lies.
        suite: Expectations in the library's own JSON form.
        digest: Version of the dataset.

    Raises:
        ObjectMissing: If the manifest or a shard is not there.
        IntegrityError: If one was altered.
    """
    recipe = _recipe(suite, digest)
    known = recall(store, recipe)
    if known is not None:
        return suite_from_json(known)

    from quality.suites.run import run_suite
    from quality.suites.source import Source

    with lent_frame(store, digest) as (frame, footers):
        result = run_suite(list(suite), Source.of(frame, footers=footers))
    remember(store, recipe, asdict(result))
    return result


def folding_of(suite: Suite, schema: "pa.Schema", contract: "Contract") -> "Folding":
    """Return what gathers the answers of a suite while rows of `schema` pass that fit `contract`."""
    import polars as pl

    from quality.scan import assured_by
    from quality.suites.folding import Folding

    empty = pl.DataFrame(schema.empty_table())
    full = [field.name for field in schema if not field.nullable]
    return Folding(list(suite), empty.schema, full=full, assured=assured_by(contract))


def remember_folded(store: Store, suite: Suite, digest: str, folding: "Folding") -> None:
    """Remember what a suite says of a dataset whose rows `folding` has taken, for `suite_result` to recall.

    Nothing is remembered of a suite that cannot be evaluated: whoever asks for its result is told why.
    """
    from quality.suites.run import run_folded

    recipe = _recipe(suite, digest)
    if recall(store, recipe) is not None:
        return
    try:
        result = run_folded(list(suite), folding, lambda: _frame(store, digest))
    except Exception:  # the rows are stored: what is wrong with the suite is for its check to tell
        return
    remember(store, recipe, asdict(result))


@contextmanager
def _frame(store: Store, digest: str) -> "Generator[pl.LazyFrame]":
    with lent_frame(store, digest) as (frame, _):
        yield frame


def _recipe(suite: Suite, digest: str) -> str:
    return digest_value({"stage": "expectations", "suite": list(suite), "dataset": digest})
