"""Owns the numbers of a partition that are compared with its past: rows, newest event, nulls, means of expressions.

Rows and nulls are in the manifest and the newest event is in the ingest report, so that most of it costs no look at the
data. What was measured once of a dataset is remembered under its digest, and what was measured of a whole past as one
value, so that a look at it takes a few requests. It compares nothing: `quality.anomalies` does.
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
SPARED = 32
"""Partitions that are read one by one before what is known of all is written anew."""


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


def measured_before(
    store: Store, registry: str, asset: Sequence[str], expressions: Mapping[str, str], *, before: str, most: int
) -> dict[str, Measured]:
    """Return the numbers of the newest dataset of each of the last `most` partitions before one, oldest first.

    What was found is remembered as one value, beside a stamp of each partition's ref: a listing then tells which of
    them changed, and only those are read. That value is written anew once `SPARED` of them had to be.
    """
    stamps = refs.stamps(store, registry, asset, before=before, most=most)
    recipe = digest_value({"measured together": [registry, *asset], "expressions": dict(expressions)})
    known: Mapping[str, Any] = (recall(store, recipe) or {}).get("partitions", {})
    found = {key: known[key][1] for key, stamp in stamps.items() if key in known and known[key][0] == stamp}
    unknown = [key for key in stamps if key not in found]

    def one(partition: str) -> dict[str, Any] | None:  # Any: JSON values
        ref = refs.load(store, registry, asset, partition)
        return asdict(measure(store, ref, expressions)) if isinstance(ref, DatasetRef) else None

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        found |= zip(unknown, pool.map(one, unknown), strict=True)
    if len(unknown) >= SPARED:
        remember(store, recipe, {"partitions": {key: [stamp, found[key]] for key, stamp in stamps.items()}})
    return {key: Measured(**value) for key in stamps if (value := found[key]) is not None}


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
