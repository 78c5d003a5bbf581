"""Owns the transform that lives in a model bundle: row-wise SQL text, fitted steps with their states, feature order.

Training, batch scoring and serving all go through `rows`, `features` and `matrix` of the same value. It is
kept as JSON. It fits no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import TypeAdapter

from resources.errors import ContractError, DeclarationError, TrainingError
from resources.names import name_error
from resources.transform.expressions import apply_columns, check_types, collect, columns_of
from resources.transform.steps import AnyStep, OneHot, Ordinal, State, Step, check_steps, outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
_STEP: TypeAdapter[AnyStep] = TypeAdapter(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTransform:
    """The way from raw rows to the model's matrix.

    Attributes:
        columns: Row-wise column to SQL text, in order.
        steps: Fitted steps in the order they run.
        states: What each step learned.
        output: Feature names, in the order of the matrix's columns.
        categorical: Features that hold category codes.
    """

    columns: Mapping[str, str]
    steps: tuple[AnyStep, ...]
    states: tuple[State, ...]
    output: tuple[str, ...]
    categorical: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.states):
            raise TrainingError(f"{len(self.steps)} steps have {len(self.states)} states: the transform is damaged")

    @property
    def reads(self) -> tuple[str, ...]:
        """Raw columns that scoring needs, sorted."""
        return tuple(sorted({name for text in self.columns.values() for name in columns_of(text)}))

    @property
    def categories(self) -> dict[str, int]:
        """Categorical features to how many categories each has; their codes go from 0."""
        known = {
            name: len(texts)
            for step, state in zip(self.steps, self.states, strict=True)
            if isinstance(step, Ordinal)
            for name, texts in state["categories"].items()
        }
        return {name: known[name] for name in self.categorical}

    def rows(self, raw: pl.LazyFrame) -> pl.LazyFrame:
        """Return the row-wise columns of raw rows typed by the contract, in the order of the rows.

        Raises:
            ContractError: If `raw` lacks a column that an expression reads.
        """
        names = raw.collect_schema().names()
        for name in self.reads:
            if name not in names:
                raise ContractError(str(name_error("input", "column", name, names)).replace("unknown", "there is no"))
        return apply_columns(raw, self.columns)

    def features(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the features of row-wise columns: every fitted step applied, in the order of `output`."""
        frame = rows.select(*self.columns)
        for step, state in zip(self.steps, self.states, strict=True):
            frame = frame.with_columns(step.expressions(state))
        return frame.select(*self.output)

    def matrix(self, rows: pl.LazyFrame) -> "NDArray[np.float64]":
        """Return the model's input of row-wise columns: float64, C order, shape ``(rows, features)``, null as NaN.

        Raises:
            TrainingError: If a feature is no number.
            ContractError: If a value cannot be computed.
        """
        features = self.features(rows)
        _refuse_other_than_numbers(features.collect_schema())
        frame = collect(features.cast(pl.Float64), doing="features", error=ContractError)
        return frame.to_numpy(order="c")

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the transform as a JSON value that `from_json` reads back; floats are exact."""
        steps = [
            {"step": step.model_dump(mode="json"), "state": state}
            for step, state in zip(self.steps, self.states, strict=True)
        ]
        return {
            "format": FORMAT,
            "columns": [[name, text] for name, text in self.columns.items()],
            "steps": steps,
            "output": list(self.output),
            "categorical": list(self.categorical),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "FittedTransform":
        """Return the transform that `to_json` wrote.

        Raises:
            TrainingError: If `value` is no such transform, or of a later format.
        """
        if value.get("format") != FORMAT:
            raise TrainingError(
                f"transform has format {value.get('format')!r}, this Penstock reads {FORMAT}: upgrade it"
            )
        try:
            return cls(
                columns=dict(value["columns"]),
                steps=tuple(_STEP.validate_python(item["step"]) for item in value["steps"]),
                states=tuple(item["state"] for item in value["steps"]),
                output=tuple(value["output"]),
                categorical=tuple(value["categorical"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"not a fitted transform: {error}; train the model again") from None


def fit_transform(
    columns: Mapping[str, str],
    steps: Sequence[AnyStep],
    rows: pl.DataFrame,
    *,
    types: Mapping[str, pl.DataType] | None = None,
) -> FittedTransform:
    """Fit `steps` one after the other on the row-wise columns of the training window.

    Args:
        columns: Row-wise column to SQL text, in order.
        steps: Steps in the order they run; a step sees what the ones before it made.
        rows: Row-wise columns of the training window, already computed.
        types: Row-wise column to its type, where `rows` holds only those that a step learns from.

    Raises:
        TrainingError: If a step cannot learn from its column, or a feature is no number in the end.
    """
    held = columns if types is None else [name for name in columns if name in rows.columns]
    frame, states = rows.select(*held), list[State]()
    output, categorical = tuple(columns), set[str]()
    for step in steps:
        state = step.fit(frame)
        states.append(state)
        frame = frame.with_columns(step.expressions(state))
        output = tuple(made for name in output for made in outputs(step, state, name))
        categorical |= set(step.columns) if isinstance(step, Ordinal) else set()
    if len(set(output)) < len(output):
        twice = sorted({name for name in output if output.count(name) > 1})
        raise TrainingError(f"two features are called {twice[0]!r}: rename the column that onehot does not make")
    made = FittedTransform(
        columns=dict(columns),
        steps=tuple(steps),
        states=tuple(states),
        output=output,
        categorical=tuple(name for name in output if name in categorical),
    )
    none = pl.LazyFrame(schema=rows.schema if types is None else types)
    _refuse_other_than_numbers(made.features(none).collect_schema())
    return made


def check_features(
    field: str, columns: Mapping[str, str], steps: Sequence[AnyStep], types: Mapping[str, str]
) -> dict[str, pl.DataType]:
    """Return the types of declared row-wise features, refusing those that could never become a matrix.

    Args:
        field: Name of the declared field that holds `columns` and `steps`, for the message.
        columns: Row-wise column to SQL text.
        steps: Fitted steps in the order they run.
        types: Raw column to its Arrow type text, such as ``int64``.

    Raises:
        DeclarationError: If an expression or a step names something unknown, does not fit the types, or leaves text.
    """
    found = check_types(f"{field}.columns", columns, types)
    check_steps(f"{field}.steps", steps, list(columns))
    encoded = {name for step in steps if isinstance(step, Ordinal | OneHot) for name in step.columns}
    for name, kind in found.items():
        if not (name in encoded or _is_number(kind) or isinstance(kind, pl.Null)):
            raise DeclarationError(f"{field}.columns.{name}: {_no_number(name, kind)}")
    return found


def check_label(field: str, text: str, types: Mapping[str, str]) -> None:
    """Refuse a declared label that gives no number.

    Args:
        field: Name of the declared field, such as `features.label`.
        text: SQL expression.
        types: Raw column to its Arrow type text.

    Raises:
        DeclarationError: If the expression names something unknown, does not fit the types, or gives no number.
    """
    place, _, name = field.rpartition(".")
    kind = check_types(place, {name: text}, types)[name]
    if not (_is_number(kind) or isinstance(kind, pl.Null)):
        raise DeclarationError(
            f"{field}: {text!r} gives {kind}, a model predicts numbers: compute one, 0 and 1 for classes"
        )


def _refuse_other_than_numbers(schema: pl.Schema) -> None:
    for name, kind in schema.items():
        if not _is_number(kind):
            raise TrainingError(_no_number(name, kind))


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric() or isinstance(kind, pl.Boolean)


def _no_number(name: str, kind: pl.DataType) -> str:
    return (
        f"feature {name!r} is {kind}, a model needs numbers: add a step of kind 'ordinal' or 'onehot' for it, "
        "or compute a number in its expression"
    )
