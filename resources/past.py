"""Owns the numbers of a partition that are compared with its past: rows, newest event, nulls, means of expressions.

Rows and nulls are in the manifest and the newest event is in the ingest report, so that most of it costs no look at the
data. What was measured once of a dataset is remembered under its digest. It compares nothing: `quality.anomalies` does.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resources.canonical import digest_value, parse_json
from resources.refs import DatasetRef
from resources.source.report import IngestReport
from resources.storage import refs
from resources.storage.datasets import read_frame
from resources.storage.manifest import read_manifest
from resources.storage.memo import REQUIRES, recall, remember
from resources.storage.objects import get_object
from resources.storage.store import Store
from resources.transform.expressions import apply_columns, columns_of

if TYPE_CHECKING:
    import polars as pl

READERS = 16
"""Partitions that are read at the same time: a remote store answers each only after a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers of one dataset.

    Attributes:
        dataset: Its digest.
        rows: Rows.
        newest: Time of the newest event, ISO 8601 UTC; None without rows or clock.
        nulls: Column to its nulls.
        means: Name of an expression to its mean over the rows where it has a value; None where it has none.
    """

    dataset: str
    rows: int
    newest: str | None
    nulls: Mapping[str, int]
    means: Mapping[str, float | None]

    def age_s(self, end: datetime) -> float | None:
        """Return the seconds from the newest event to `end`, None without one."""
        return None if self.newest is None else max(0.0, (end - datetime.fromisoformat(self.newest)).total_seconds())


def measure(store: Store, ref: DatasetRef, expressions: Mapping[str, str]) -> Measured:
    """Return the numbers of the dataset `ref`, and the means of SQL `expressions` over its rows."""
    recipe = digest_value({"measured": ref.digest, "report": ref.report_digest, "expressions": dict(expressions)})
    known = recall(store, recipe)
    if known is not None:
        known.pop(REQUIRES, None)
        return Measured(**known)
    report = None if ref.report_digest is None else parse_json(get_object(store, ref.report_digest))
    statistics = read_manifest(store, ref.digest).statistics
    found = Measured(
        dataset=ref.digest,
        rows=ref.rows,
        newest=None if report is None else IngestReport.from_json(report).newest,
        nulls={name: column.nulls for name, column in statistics.items()},
        means=_means(store, ref, expressions),
    )
    remember(store, recipe, {**asdict(found), REQUIRES: [ref.digest]})
    return found


def measured_partitions(
    store: Store, registry: str, asset: Sequence[str], partitions: Sequence[str], expressions: Mapping[str, str]
) -> dict[str, Measured]:
    """Return the numbers of the newest dataset of each of `partitions`, in their order."""

    def one(partition: str) -> Measured | None:
        ref = refs.load(store, registry, asset, partition)
        return measure(store, ref, expressions) if isinstance(ref, DatasetRef) else None

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        found = dict(zip(partitions, pool.map(one, partitions), strict=True))
    return {key: value for key, value in found.items() if value is not None}


def means_of(frame: "pl.LazyFrame", expressions: Mapping[str, str]) -> dict[str, float | None]:
    """Return the mean of each SQL expression over the rows where it has a finite value; None where it has none."""
    if not expressions:
        return {}
    rows = apply_columns(frame, expressions).collect()
    return {name: _mean(rows[name]) for name in expressions}


def _means(store: Store, ref: DatasetRef, expressions: Mapping[str, str]) -> dict[str, float | None]:
    if not expressions or not ref.rows:
        return dict.fromkeys(expressions)
    needed = sorted({name for text in expressions.values() for name in columns_of(text)})
    return means_of(read_frame(store, ref.digest, needed).lazy(), expressions)


def _mean(column: Any) -> float | None:  # Any: polars' Series
    import polars as pl

    numbers = column.cast(pl.Float64)
    return numbers.filter(numbers.is_finite()).mean()
