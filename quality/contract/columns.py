"""Owns the comparison of a source's columns with the contract's: lost, gained, doubled, retyped.

It looks at names and types only; `quality.contract.rows` looks at values.
"""

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from quality.contract.spec import Column, Contract
from quality.contract.types import FLOATS, INTEGERS, TEXTS, clock_parts
from resources.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_TOLD = 12
"""Columns of one fault that are named."""
_MOST_SPARE = 200
"""Columns among which the nearest name is looked for."""


def check_columns(names: Iterable[str], contract: Contract, *, source: str = "the source") -> None:
    """Refuse a list of column names that is not the contract's.

    Args:
        names: Columns of the source, in its order.
        contract: What is demanded.
        source: Where the columns were found, for the message.

    Raises:
        ContractError: Naming every column that is doubled, lost or gained, with the nearest name.
    """
    found = list(names)
    read = found if contract.extra == "refuse" else [name for name in found if name in contract.columns]
    faults = _doubled(read) + _lost(found, contract)
    if contract.extra == "refuse":
        faults += _gained(found, contract)
    if faults:
        raise ContractError(f"{source} does not have the columns of the contract: {'; '.join(faults)}")


def check_schema(schema: "pa.Schema", contract: Contract, *, source: str = "the source") -> None:
    """Refuse an Arrow schema whose columns or types cannot become the contract's.

    Raises:
        ContractError: As `check_columns`, and naming every column of another kind of type.
    """
    check_columns(schema.names, contract, source=source)
    faults = [
        fault
        for name, column in contract.columns.items()
        if (fault := _retyped(name, schema.field(name).type, column)) is not None
    ]
    if faults:
        rest = len(faults) - _MOST_TOLD
        told = "; ".join(faults[:_MOST_TOLD]) + (f"; and {rest:,} more" if rest > 0 else "")
        raise ContractError(f"{source} does not have the types of the contract: {told}")


def _doubled(names: list[str]) -> list[str]:
    doubled = [name for name, times in Counter(names).items() if times > 1]
    return [f"{_listed(doubled)} more than once (rename one of each in the source)"] if doubled else []


def _lost(names: list[str], contract: Contract) -> list[str]:
    there = set(names)
    lost = [name for name in contract.columns if name not in there]
    spare = [name for name in names if name not in contract.columns]
    told = [f"{name!r} is missing{_hint(name, spare)}" for name in lost[:_MOST_TOLD]]
    return [*told, f"and {len(lost) - len(told):,} more are missing"] if len(told) < len(lost) else told


def _gained(names: list[str], contract: Contract) -> list[str]:
    gained = [name for name in dict.fromkeys(names) if name not in contract.columns]
    if not gained:
        return []
    if any(not name or name.startswith("_") for name in gained):  # no contract can name them
        return [f"{_listed(gained)} not in the contract (rename it in the source, or set extra: drop)"]
    return [f"{_listed(gained)} not in the contract (declare it, or set extra: drop)"]


def _hint(name: str, spare: list[str]) -> str:
    near = get_close_matches(name, spare, n=1, cutoff=0.6) if len(spare) <= _MOST_SPARE else []
    return f" (the source has {near[0]!r}: renamed?)" if near else " (restore it, or remove it from the contract)"


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_TOLD
    return ", ".join(map(repr, names[:_MOST_TOLD])) + (f" and {rest:,} more" if rest > 0 else "")


def _retyped(name: str, found: "pa.DataType", column: Column) -> str | None:
    import pyarrow as pa

    kind = found.value_type if pa.types.is_dictionary(found) else found
    if pa.types.is_null(kind) or _fits(kind, column):
        return None
    if pa.types.is_timestamp(kind) and clock_parts(column.type):
        if kind.tz is None:
            return (
                f"{name!r} is a clock without a zone ({found}), the contract says {column.type}: "
                f"declare type timestamp[us] and its timezone"
            )
        return f"{name!r} is a clock with a zone ({found}): declare type timestamp[us, tz=UTC] and no timezone"
    return f"{name!r} is {found}, the contract says {column.type} (change the contract, or restore the source)"


def _fits(kind: "pa.DataType", column: Column) -> bool:
    """Return whether values of type `kind` can become the column's type without losing their meaning."""
    import pyarrow as pa

    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if column.type in INTEGERS or column.type in FLOATS or column.type.startswith("decimal"):
        return number
    if column.type in TEXTS or (text and column.format is not None):
        return text
    if clock := clock_parts(column.type):
        return pa.types.is_timestamp(kind) and (kind.tz is None) == (clock[1] is None)
    tests = {"bool": pa.types.is_boolean, "date32": pa.types.is_date, "binary": _is_binary}
    if column.type in tests:
        return tests[column.type](kind)
    return pa.types.is_duration(kind) if column.type.startswith("duration") else pa.types.is_time(kind)


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)
