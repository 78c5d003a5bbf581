"""Owns the replay of logged inputs through a model's transform: which features serving should have had, step by step.

It finds the step at which logged features and replayed ones part: by logged intermediate values where there are any,
by variants of the transform (a step left out, a window one row longer) elsewhere. `quality.skew` compares the cells.

A log holds what names its rows, the raw inputs under their own names, and as far as they were logged the features as
`feature.NAME`, the row-wise columns as `columns.NAME`, and what the first, second... fitted step made as `step1.NAME`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl

from quality.matching import cast_to, key_type, require, schema_of
from quality.skew import SkewReport, SkewRule, skew
from quality.skew.alignment import TABLES
from quality.skew.judging import judge
from quality.skew.report import ColumnSkew, Parting
from resources.errors import ContractError, ObjectMissing, PenstockError
from resources.transform.expressions import collect, columns_of, polars_type
from resources.transform.steps import outputs

if TYPE_CHECKING:
    from resources.training.bundle import Bundle
    from resources.transform.fitted import FittedTransform
    from resources.workspace import Workspace

FEATURE, PREDICTION = "feature.", "prediction"
EXPLAINED = 0.9
"""Share of the differing cells that a variant must make, to be named."""
_MOST_VARIANTS = 12
_PAIRED = "penstock paired"


def skew_through(
    transform: "FittedTransform", training: pl.DataFrame, serving: pl.DataFrame, rule: SkewRule
) -> SkewReport:
    """Return the skew of raw inputs and features, and for each feature that differs the step where the sides part.

    Args:
        transform: The transform that made the features of training.
        training: Raw rows of training, typed by the contract, with what names them and the rows that windows look at.
        serving: The log. Without a column `feature.NAME` its features are those that the transform makes of its inputs.
        rule: How rows are named, and how much may differ; `columns` is ignored.

    Raises:
        ContractError: If a side lacks a column that names its rows, training one that the transform reads, or the log
            holds neither inputs nor features.
    """
    require("training", (*rule.named_by, *transform.reads), schema_of(training))
    require("serving", rule.named_by, schema_of(serving))
    return _Replay(transform, training, serving, rule).report()


def skew_of_model(bundle: "Bundle", training: pl.LazyFrame, serving: pl.LazyFrame, rule: SkewRule) -> SkewReport:
    """Return the skew of inputs, features and, where they were logged, predictions of a model.

    Args:
        bundle: The model; its contract tells the types of what it reads.
        training: Raw rows of training, see `skew_through`.
        serving: The log, such as `penstock predict` writes it.
        rule: How rows are named, and how much may differ.

    Raises:
        ContractError: If values are not of the types that the contract names, or as `skew_through` does.
    """
    rows, log = _typed(bundle, training, "training"), _typed(bundle, serving, "serving")
    require("training", (*rule.named_by, *bundle.transform.reads), rows.schema)
    require("serving", rule.named_by, log.schema)
    if PREDICTION in log.columns:
        rows = rows.with_columns(pl.Series(PREDICTION, bundle.predict_raw(rows.lazy()), pl.Float64))
    return _Replay(bundle.transform, rows, log, rule).report()


def skew_of_champion(
    workspace: "Workspace", pipeline: str, training: pl.LazyFrame, serving: pl.LazyFrame, rule: SkewRule
) -> SkewReport:
    """Return the skew of the champion of `pipeline`, see `skew_of_model`.

    Raises:
        ObjectMissing: If it has none.
        SignatureError: If its bundle is unsigned, altered or foreign.
    """
    from resources.training.bundle import read_bundle

    entry = workspace.registry(pipeline).champion()
    if entry is None:
        raise ObjectMissing(
            f"pipeline {pipeline!r} has no champion to replay through: run it until the gate passes one"
        )
    bundle = read_bundle(workspace.store, entry.model.digest, keyring=workspace.keyring)
    return skew_of_model(bundle, training, serving, rule)


def _typed(bundle: "Bundle", frame: pl.LazyFrame, what: str) -> pl.DataFrame:
    """Return rows in memory, what the model reads as the types of its contract; clocks stay as they are."""
    schema = frame.collect_schema()
    declared = {name: polars_type(str(column["type"])) for name, column in bundle.contract["columns"].items()}
    kinds = {
        name: kind
        for name, kind in declared.items()
        if name in bundle.transform.reads and name in schema and not (kind.is_temporal() or isinstance(kind, pl.Null))
    }
    return collect(frame.cast(dict(kinds)), doing=f"types of {what}", error=ContractError)


class _Replay:
    """Both sides, row by row of training, and what the transform makes of them."""

    def __init__(
        self, transform: "FittedTransform", training: pl.DataFrame, serving: pl.DataFrame, rule: SkewRule
    ) -> None:
        self.transform, self.training, self.serving = transform, training, serving
        self.rule = replace(rule, columns=None)
        self.keys = list(rule.named_by)
        self.reads = [name for name in transform.reads if name in serving.columns and name not in self.keys]
        self.logged = [name for name in transform.output if f"{FEATURE}{name}" in serving.columns]
        if not self.reads and not self.logged:
            inputs = ", ".join(name for name in transform.reads if name not in self.keys)
            raise ContractError(
                f"the log holds neither inputs ({inputs}) nor features ({FEATURE}NAME): log one of them"
            )
        self.beside = self._beside()
        self.made = self.finished(self.rows(training))
        self.given = self.rows(self._given())
        self.replayed = self.finished(self.given)

    def _beside(self) -> pl.DataFrame:
        """Return the log, its rows in the places of their rows of training, nulls where there is none."""
        schema = self.training.schema
        kinds = {name: key_type(name, (schema[name], self.serving.schema[name]), TABLES) for name in self.keys}
        keys = [cast_to(kind, name) for name, kind in kinds.items()]
        log = self.serving.with_columns(*keys, pl.lit(value=True).alias(_PAIRED)).unique(
            self.keys, keep="first", maintain_order=True
        )
        return self.training.select(keys).join(log, on=self.keys, how="left", maintain_order="left")

    def _given(self) -> pl.DataFrame:
        """Return training's rows with the inputs of the log in the place of training's, where rows are paired.

        Windows then look back at the same rows as training's do.
        """
        paired = self.beside[_PAIRED].fill_null(value=False)
        changed = [
            pl.select(
                pl.when(paired)
                .then(self.beside[name].cast(self.training.schema[name], strict=False))
                .otherwise(self.training[name])
                .alias(name)
            ).to_series()
            for name in self.reads
        ]
        return self.training.with_columns(changed)

    def rows(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Return the row-wise columns of raw rows."""
        return collect(self.transform.rows(raw.lazy()), doing="replay", error=ContractError)

    def staged(self, rows: pl.DataFrame, steps: int) -> pl.DataFrame:
        """Return the columns that there are after the first `steps` fitted steps."""
        frame = rows.lazy()
        for step, state in list(zip(self.transform.steps, self.transform.states, strict=True))[:steps]:
            frame = frame.with_columns(step.expressions(state))
        return collect(frame, doing="replay", error=ContractError)

    def finished(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the features of row-wise columns."""
        return collect(self.transform.features(rows.lazy()), doing="replay", error=ContractError)

    def report(self) -> SkewReport:
        """Return the skew of inputs and features, with where they part."""
        names = self.logged or list(self.transform.output)
        features = self.made.select(pl.col(name).alias(f"{FEATURE}{name}") for name in names)
        beside = [name for name in (PREDICTION, self.rule.arrived) if name and name in self.training.columns]
        left = self.training.select(*self.keys, *self.reads, *beside).hstack(features)
        right = self._log_with_features(names).select(name for name in left.columns if name != self.rule.arrived)
        found = skew(left, right, self.rule, pieces=1)
        columns = tuple(replace(column, parting=self._parting(column, found)) for column in found.columns)
        told = replace(found, columns=columns)
        return replace(told, findings=judge(told, self.rule))

    def _log_with_features(self, names: Sequence[str]) -> pl.DataFrame:
        """Return the log with its features: those that were logged, else those of its inputs."""
        if self.logged:
            return self.serving
        replayed = self.replayed.select(pl.col(name).alias(f"{FEATURE}{name}") for name in names)
        known = self.beside.select(self.keys).hstack(replayed).unique(self.keys, keep="first", maintain_order=True)
        kinds = known.schema
        log = self.serving.with_columns(cast_to(kinds[name], name) for name in self.keys)
        return log.join(known, on=self.keys, how="left", maintain_order="left")

    def _parting(self, column: ColumnSkew, report: SkewReport) -> Parting | None:
        """Return where training and serving part in one column, as far as that can be told."""
        if not column.mismatch.count or column.column in self.reads:
            return None
        wrong = {found.column for found in report.columns if found.mismatch.count}
        if column.column == PREDICTION:
            features = sorted(name for name in wrong if name.startswith(FEATURE))
            if features:
                return Parting(step="features", reason=f"{', '.join(features[:3])} differ")
            return Parting(step="model", reason="the features are the same, the predictions are not")
        name = column.column.removeprefix(FEATURE)
        served = self.beside[column.column] if self.logged else self.replayed[name]
        cells = _Cells(self.made[name], served, self.beside[_PAIRED])
        return self._in_inputs(name, cells, wrong) or self._in_logged(name, cells) or self._in_variants(name, cells)

    def _in_inputs(self, name: str, cells: "_Cells", wrong: Collection[str]) -> Parting | None:
        if not self.reads or cells.explained_by(self.replayed[name]) < EXPLAINED:
            return None
        texts = self.transform.columns
        others = [read for read in columns_of(texts[self._base(name)]) if read in wrong]
        told = f"serving was given other values of {', '.join(others) or 'earlier rows'}"
        return Parting(step="the input", reason=f"{told}, of which the transform makes the same")

    def _base(self, name: str) -> str:
        """Return the row-wise column that feature `name` is made of."""
        found = {name: name for name in self.transform.columns}
        for step, state in zip(self.transform.steps, self.transform.states, strict=True):
            found = {made: base for now, base in found.items() for made in outputs(step, state, now)}
        return found[name]

    def _in_logged(self, name: str, cells: "_Cells") -> Parting | None:
        """Return the first step after which what was logged is not what the replay gives."""
        base, last = self._base(name), None
        for number in range(len(self.transform.steps) + 1):
            stage = self.staged(self.given, number)
            for made in (name, base):
                logged = f"step{number}.{made}" if number else f"columns.{made}"
                if logged not in self.beside.columns or made not in stage.columns:
                    continue
                if cells.differ_share(stage[made], self.beside[logged]) >= EXPLAINED:
                    after = f" and are the same up to {last}" if last else ""
                    return Parting(step=self._label(number), reason=f"the values logged there differ{after}")
                last = self._label(number)
                break
        return (
            None
            if last is None
            else Parting(step=f"a step after {last}", reason="the values logged there are the same")
        )

    def _in_variants(self, name: str, cells: "_Cells") -> Parting | None:
        """Return the first step of which a variant makes what serving has."""
        base = self._base(name)
        text = self.transform.columns[base]
        for words, variant in islice(variants(text), _MOST_VARIANTS):
            changed = replace(self.transform, columns={**self.transform.columns, base: variant})
            with suppress(PenstockError):  # a variant that is no expression explains nothing
                rows = collect(changed.rows(self._given().lazy()), doing="replay", error=ContractError)
                if cells.explained_by(self.finished(rows)[name]) >= EXPLAINED:
                    return Parting(step=self._label(0), reason=f"serving has what {base} gives {words}")
        for number, step in enumerate(self.transform.steps, start=1):
            if base in step.columns:
                with suppress(PenstockError):
                    left_out = self._without(number)
                    if name in left_out.columns and cells.explained_by(left_out[name]) >= EXPLAINED:
                        return Parting(step=self._label(number), reason="serving has what comes of leaving it out")
        return None

    def _without(self, left_out: int) -> pl.DataFrame:
        frame = self.given.lazy()
        for number, (step, state) in enumerate(zip(self.transform.steps, self.transform.states, strict=True), start=1):
            if number != left_out:
                frame = frame.with_columns(step.expressions(state))
        return collect(frame, doing="replay", error=ContractError)

    def _label(self, number: int) -> str:
        return f"step {number}, {self.transform.steps[number - 1].kind}" if number else "the row-wise columns"


class _Cells:
    """The cells of one feature that differ."""

    def __init__(self, made: pl.Series, served: pl.Series, paired: pl.Series) -> None:
        self._served = _present(served)
        self._wrong = paired.fill_null(value=False) & _unlike(_present(made), self._served)
        self._count = max(1, int(self._wrong.sum()))

    def explained_by(self, other: pl.Series) -> float:
        """Return in which share of them `other` is what serving has."""
        return int((self._wrong & ~_unlike(_present(other), self._served)).sum()) / self._count

    def differ_share(self, one: pl.Series, two: pl.Series) -> float:
        """Return in which share of them two columns differ."""
        return int((self._wrong & _unlike(_present(one), _present(two))).sum()) / self._count


def _present(values: pl.Series) -> pl.Series:
    return values.fill_nan(None) if values.dtype.is_float() else values


def _unlike(one: pl.Series, two: pl.Series) -> pl.Series:
    if one.dtype.is_float() and two.dtype.is_numeric():  # sums of windows may be added up in another order
        near = (one - two.cast(pl.Float64)).abs() <= 1e-9 * one.abs()
        return one.ne_missing(two.cast(one.dtype)) & ~near.fill_null(value=False)
    if one.dtype.is_numeric() != two.dtype.is_numeric():
        return one.cast(pl.String).ne_missing(two.cast(pl.String))
    return one.ne_missing(two)


def variants(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a slip of the pen makes of SQL `text`: what was done, and the text.

    >>> list(variants("LAG(x, 24) OVER (ORDER BY at)"))[0]
    ('with 25 for 24', 'LAG(x, 25) OVER (ORDER BY at)')
    """
    for found in _WHOLE.finditer(text):
        number = int(found[0])
        for other in (number + 1, number - 1):
            if other >= 0:
                yield f"with {other} for {number}", f"{text[: found.start()]}{other}{text[found.end() :]}"
    for found in _DEFAULT.finditer(text):
        yield f"without the default of {found[1]}", f"{text[: found.start()]}{found[1]}{text[found.end() :]}"
    yield "rounded to a 32-bit float", f"CAST(CAST({text} AS FLOAT4) AS FLOAT8)"


_WHOLE = re.compile(r"(?<![\w.'])\d+(?![\w.'])")
_DEFAULT = re.compile(r"(?:COALESCE|IFNULL)\((\w+),[^()]*\)", re.IGNORECASE)
