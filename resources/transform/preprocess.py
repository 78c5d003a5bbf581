"""Owns the row-wise half of preprocessing: raw rows of one partition in, a features dataset with a profile out.

The dataset is ready for the loader, so its rows are in a random order, which `read_in_order` undoes. Fitted steps are
not applied here; they belong to the model bundle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from quality.profile import profile
from resources.canonical import canonical_json, parse_json
from resources.errors import ContractError
from resources.refs import DatasetRef
from resources.source.report import IngestReport
from resources.storage.datasets import read_frame
from resources.storage.objects import get_object, put_object
from resources.transform.expressions import apply_columns, collect
from resources.transform.split import buckets
from resources.workspace import Workspace

LABEL = "label"
BUCKET = "split_bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What makes features of raw rows.

    Attributes:
        columns: Feature name to SQL expression over raw columns.
        label: SQL expression of the label.
        event_time: Event-time column of `raw`, kept beside the features; None splits rows by a stable hash.
        split_by: Columns that decide the split; empty means all columns of `raw`.
    """

    columns: Mapping[str, str]
    label: str
    event_time: str | None
    split_by: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the recipe as a JSON value."""
        return asdict(self)


def preprocess(workspace: Workspace, recipe: Recipe, raw: Sequence[DatasetRef], *, partition: str | None) -> DatasetRef:
    """Write the features of the last dataset of `raw`; the ones before it are history for window expressions.

    Raises:
        ContractError: If more rows of it broke the contract than the declaration allows.
    """
    from resources.loader.shuffled import write_shuffled

    current = raw[-1]
    refuse_blocked(workspace, current, partition)
    history = pl.concat([read_frame(workspace.store, ref.digest) for ref in raw])
    table = rows(recipe, history).tail(current.rows)
    described = put_object(workspace.store, canonical_json(profile(table).to_json()))
    kept = (LABEL, BUCKET, *((recipe.event_time,) if recipe.event_time else ()))
    return write_shuffled(
        workspace.store,
        table,
        scratch=workspace.scratch,
        keep=kept,
        partitions=(partition,) if partition else (),
        profile_digest=described,
        codec=None if workspace.settings.codec == "none" else workspace.settings.codec,
    )


def rows(recipe: Recipe, raw: pl.DataFrame) -> pl.DataFrame:
    """Return event time, features, label and split bucket of every raw row, in the order of the rows."""
    computed = apply_columns(raw.lazy(), {**recipe.columns, LABEL: recipe.label})
    table = collect(computed.cast({LABEL: pl.Float64}), doing="label", error=ContractError)
    if recipe.event_time is None:
        split = pl.Series(BUCKET, buckets(raw, recipe.split_by or raw.columns))
        return table.hstack([split])
    return table.insert_column(0, raw.get_column(recipe.event_time))


def refuse_blocked(workspace: Workspace, raw: DatasetRef, partition: str | None) -> None:
    """Refuse a snapshot whose rejected rows exceed the declared share, whatever run asks for it.

    Raises:
        ContractError: Naming the share, the limit and the remedy.
    """
    if raw.report_digest is None:
        return
    report = IngestReport.from_json(parse_json(get_object(workspace.store, raw.report_digest)))
    if report.blocked:
        raise ContractError(
            f"{report.rows_rejected} of {report.rows_kept + report.rows_rejected} raw rows of "
            f"{partition or 'the source'} broke the contract, more than max_rejected {report.max_rejected:g}: "
            "see its quarantine, then mend the source or the contract"
        )
