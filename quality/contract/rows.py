"""Owns the judgement of rows by a contract: which are kept, typed; which are rejected, and why.

It sees one table at a time, so it does not judge `Contract.unique`, which needs the rows of all tables
(`quality.contract.duplicates`), and knows nothing of partitions.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from quality.contract.arrow import array_of, compute, to_arrow, without_rows
from quality.contract.calendar import is_near
from quality.contract.columns import check_schema
from quality.contract.convert import convert
from quality.contract.findings import LONGEST, Findings, as_text, count, merge, texts_of
from quality.contract.rules import violations
from quality.contract.spec import Contract
from resources.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All rows of a table, typed, with the reasons of those that break the contract.

    Attributes:
        table: Stored types; a cell that could not be converted is null.
        findings: Row index to reasons.
    """

    table: "pa.Table"
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The two parts of a table.

    Attributes:
        kept: Rows that fit, with the contract's schema.
        rejected: The other rows as text, with `_reason` and `_row`, their row number in the source, from 1. Of texts
            longer than 10,000 characters it has the beginning.
        reasons: Broken rule to number of rows that break it.
    """

    kept: "pa.Table"
    rejected: "pa.Table"
    reasons: dict[str, int]


def examine(table: "pa.Table", contract: Contract, *, unfit: Mapping[str, Findings] | None = None) -> Examined:
    """Type every row of `table` by `contract` and find those that break it.

    Args:
        table: Holds every column of the contract.
        contract: What rows must be.
        unfit: Column to reasons of cells that whoever read them could not type; they are null in `table`.
    """
    import pyarrow as pa

    columns: list[pa.Array] = []
    findings: Findings = {}
    for name, column in contract.columns.items():
        cells = table.column(name)
        whole = cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()
        typed, lost = convert(whole, name, column)
        lost = {**lost, **(unfit or {}).get(name, {})}
        broken = violations(typed, name, column)
        merge(findings, lost)
        merge(findings, {row: reasons for row, reasons in broken.items() if row not in lost})
        columns.append(typed)
    loose = pa.schema(field.with_nullable(True) for field in contract.schema())
    return Examined(table=pa.Table.from_arrays(columns, schema=loose), findings=findings)


def split(
    table: "pa.Table | pa.RecordBatch",
    contract: Contract,
    *,
    first_row: int = 1,
    texts: "Callable[[Sequence[int]], pa.Table] | None" = None,
) -> Split:
    """Split the rows of `table` into those that fit `contract` and those that do not.

    Args:
        table: Columns as the source has them; columns of text are parsed.
        contract: What rows must be.
        first_row: Row number in the source of the first row.
        texts: Returns rows by index as the source spells them; None renders their values.

    Raises:
        ContractError: If the columns are not the contract's.
    """
    import pyarrow as pa

    whole = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    check_schema(text_is_untyped(whole.schema, contract), contract)
    examined = examine(whole, contract)
    bad = sorted(examined.findings)
    source = (texts or (lambda rows: render(whole.select(list(contract.columns)), rows)))(bad)
    return Split(
        kept=keep(examined.table, bad, contract.schema()),
        rejected=mark(source, ["; ".join(r.text for r in examined.findings[row]) for row in bad], bad, first_row),
        reasons=count(examined.findings.values()),
    )


def conform(frame: pl.DataFrame, contract: Contract, *, without: AbstractSet[str] = frozenset()) -> pl.DataFrame:
    """Return `frame` typed by `contract`, every row of it.

    Args:
        frame: Rows from elsewhere.
        contract: What rows must be; `unique` is not asked for.
        without: Columns of the contract that need not be there, such as the label; they are left out.

    Raises:
        ContractError: If columns or rows do not fit, with the first of them and all counts.
    """
    import pyarrow as pa

    narrowed = leave_out(contract, without)
    given = frame.drop([name for name in without if name in frame.columns])
    table = given.to_arrow(compat_level=pl.CompatLevel.oldest())
    check_schema(table.schema, narrowed, source="the input")
    examined = examine(table, narrowed)
    refuse(examined.findings, len(frame))
    typed = pl.from_arrow(pa.Table.from_arrays(examined.table.columns, schema=narrowed.schema()))
    return typed if isinstance(typed, pl.DataFrame) else typed.to_frame()


def leave_out(contract: Contract, names: AbstractSet[str]) -> Contract:
    """Return `contract` without the columns `names`.

    Raises:
        ContractError: If no column is left.
    """
    columns = {name: column for name, column in contract.columns.items() if name not in names}
    if not columns:
        raise ContractError(f"nothing is left of the contract without {', '.join(sorted(names))}")
    unique = contract.unique if set(contract.unique) <= set(columns) else ()
    return contract.model_copy(update={"columns": columns, "unique": unique})


def refuse(findings: Findings, rows: int, *, first_row: int = 1) -> None:
    """Raise for the rows in `findings`, if there are any.

    Raises:
        ContractError: With counts by rule and the first rows.
    """
    if not findings:
        return
    rules = "; ".join(
        f"{rule} ({number:,} rows)" for rule, number in list(count(findings.values()).items())[:_SHOWN_ROWS]
    )
    first = ", ".join(f"row {row + first_row}: {findings[row][0].text}" for row in sorted(findings)[:_SHOWN_ROWS])
    raise ContractError(
        f"{len(findings):,} of {rows:,} rows break the contract: {rules}. First: {first}. Correct or remove these rows"
    )


def keep(table: "pa.Table", bad: Sequence[int], schema: "pa.Schema") -> "pa.Table":
    """Return `table` without the rows `bad`, with `schema`."""
    import pyarrow as pa

    return pa.Table.from_arrays(without_rows(table, bad).columns, schema=schema)


def render(table: "pa.Table", rows: Sequence[int]) -> "pa.Table":
    """Return some rows of `table`, all columns as text."""
    import pyarrow as pa

    columns = [array_of(texts_of(_picked(column, rows)), pl.String()) for column in table.columns]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _picked(column: "pa.ChunkedArray", rows: Sequence[int]) -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_string_view(column.type) or pa.types.is_binary_view(column.type):  # Arrow takes no rows of these
        return to_arrow(pl.Series(values=column)[list(rows)])
    return column.take(array_of(list(rows), pl.Int64())).combine_chunks()


def spell(frame: pl.DataFrame) -> "pa.Table":
    """Return a Polars frame, all columns as text, as `render` does."""
    import pyarrow as pa

    texts = pl.DataFrame([_spelled(values) for values in frame.iter_columns()])
    schema = pa.schema([(name, pa.string()) for name in frame.columns])
    return texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)


def _spelled(values: pl.Series) -> pl.Series:
    return as_text(values) if is_near(values) else pl.Series(values.name, texts_of(to_arrow(values)), pl.String)


def legible(texts: "pa.Table") -> "pa.Table":
    """Return columns of text in which those longer than `LONGEST` characters are their beginning and their length.

    What is rejected is written to be read; the whole row is in the source, under its number.
    """
    for place, name in enumerate(texts.column_names):
        column = texts.column(place)
        if (compute().max(compute().binary_length(column)).as_py() or 0) > LONGEST:
            texts = texts.set_column(place, name, to_arrow(as_text(pl.Series(values=column))))
    return texts


def mark(texts: "pa.Table", reasons: Sequence[str], rows: Sequence[int], first_row: int) -> "pa.Table":
    """Return rejected rows, legible, with `_reason` and `_row` beside their columns."""
    import pyarrow as pa

    marked = legible(texts).append_column(pa.field("_reason", pa.string()), array_of(reasons, pl.String()))
    numbers = array_of([row + first_row for row in rows], pl.Int64())
    return marked.append_column(pa.field("_row", pa.int64()), numbers)


def text_is_untyped(schema: "pa.Schema", contract: Contract) -> "pa.Schema":
    """Return `schema` with null type for text, which may say anything, so that only its rows are judged."""
    import pyarrow as pa

    def is_text(field: "pa.Field") -> bool:
        return field.name in contract.columns and field.type in (pa.string(), pa.large_string())

    return pa.schema(field.with_type(pa.null()) if is_text(field) else field for field in schema)
