"""Owns a skew check as a person asks for it: sides named by files or datasets of the store, a model to replay through.

How sides are compared is `quality.skew`'s, how a log is replayed is `resources.replay`'s.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from quality.skew import SkewReport, SkewRule, skew
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name
from resources.source.spec import guess_format

if TYPE_CHECKING:
    from quality.drift import ColumnDrift
    from resources.workspace import Workspace

_DRIFT_ROWS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is compared.

    Attributes:
        training: A file or a dataset of the store.
        serving: Likewise.
        rule: How rows are named, and how much may differ.
        renamed: Column of training to its name in serving.
        through: Model to replay both sides through, as raw rows; None compares them as they are.
        distributions: Whether to compare the distributions of the columns, too.
        delimiter: Column separator of CSV files; None takes that of the suffix.
        pieces: In how many pieces to compare; None takes as many as keep about 2 GB in memory.
    """

    training: str
    serving: str
    rule: SkewRule
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    through: str | None = None
    distributions: bool = False
    delimiter: str | None = None
    pieces: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The report, and the drift of each column where it was asked for."""

    report: SkewReport
    drift: "tuple[ColumnDrift, ...] | None"


def check(workspace: "Workspace", asked: Asked) -> Answer:
    """Return what there is to say of two sides.

    Raises:
        SourceError: If a file cannot be read.
        ObjectMissing: If the store has no such dataset or model.
        ContractError: If the sides cannot be compared.
    """
    with (
        opened_side(workspace, asked.training, asked.rule, delimiter=asked.delimiter) as rows,
        opened_side(workspace, asked.serving, asked.rule, delimiter=asked.delimiter) as serving,
    ):
        training = _renamed(rows, asked.renamed)
        report = _report(workspace, training, serving, asked)
        return Answer(report=report, drift=_drift(training, serving, report) if asked.distributions else None)


def _report(workspace: "Workspace", training: pl.LazyFrame, serving: pl.LazyFrame, asked: Asked) -> SkewReport:
    if asked.through is None:
        return skew(training, serving, asked.rule, pieces=asked.pieces)
    from pipelines.cli.naming import model_named
    from resources.replay import skew_of_model
    from resources.training.bundle import read_bundle

    digest = model_named(workspace, asked.through)
    bundle = read_bundle(workspace.store, digest, keyring=workspace.keyring)
    return skew_of_model(bundle, training, serving, asked.rule)


@contextmanager
def opened_side(
    workspace: "Workspace", text: str, rule: SkewRule, *, delimiter: str | None = None
) -> Generator[pl.LazyFrame]:
    """Yield the rows that `text` names: a file, a path or fsspec URL, or a dataset of the store.

    Raises:
        SourceError: If the file cannot be read.
        ObjectMissing: If the store has no such dataset.
        DeclarationError: If it names something else in the store.
    """
    if "://" in text or Path(text).exists() or guess_format(text) is not None:
        from resources.tables import opened_table

        times = [name for name in (rule.time, rule.arrived) if name]
        with opened_table(text, scratch=workspace.scratch, times=times, delimiter=delimiter) as frame:
            yield frame
        return
    from pipelines.cli.naming import named
    from resources.storage.datasets import scan

    found = named(workspace, text)
    if found.kind != "dataset":
        raise DeclarationError(f"{text!r} names a {found.kind}: name a dataset, such as bike_demand/features@2012-01")
    yield scan(workspace.store, found.digest)


def _renamed(frame: pl.LazyFrame, names: Mapping[str, str]) -> pl.LazyFrame:
    known = frame.collect_schema().names()
    for old, new in names.items():
        if old not in known:
            raise ContractError(f"training: {unknown_name('column', old, known)}")
        if new in known and new not in names:
            raise ContractError(f"training has a column {new!r} already: {old!r} cannot be called so too")
    return frame.rename(dict(names))


def _drift(training: pl.LazyFrame, serving: pl.LazyFrame, report: SkewReport) -> "tuple[ColumnDrift, ...]":
    """Return the drift of the compared columns, of a million rows at equal distances where there are more.

    Columns of times and lists have no such test; replayed features are no columns of the sides.
    """
    from quality.drift import drift

    known = training.collect_schema()
    names = [
        column.column for column in report.columns if column.types[0] == column.types[1] and column.column in known
    ]
    able = [name for name in names if known[name].is_numeric() or isinstance(known[name], pl.String | pl.Boolean)]
    return drift(_some(training.select(able)), _some(serving.select(able)), columns=able) if able else ()


def _some(frame: pl.LazyFrame) -> pl.DataFrame:
    rows = frame.select(pl.len()).collect().item()
    return frame.gather_every(max(1, -(-rows // _DRIFT_ROWS))).collect()
