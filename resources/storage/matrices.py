"""Owns what a stored schema says of matrices: which columns lie side by side in one field, by their names.

They are made and taken apart by `resources.loader.packing`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = b"penstock.columns"
"""Key of the metadata of a packed field: JSON list of the names of its columns, in order."""
NULLS = b"penstock.nulls"
"""Key of the metadata of a packed field of floats whose columns may hold nulls; the value says how these lie there."""
NAN = b"nan"
"""A null is the NaN that `NULL_BITS` names, whose payload is 1954 as in R; any other NaN is a value."""
NULL_BITS: Mapping[int, int] = {4: 0x7FC007A2, 8: 0x7FF80000000007A2}
"""Bytes of a float to the bits of a null."""


def packed_names(schema: "pa.Schema") -> Mapping[str, Sequence[str]]:
    """Return field to the names of the columns packed in it, for the packed fields of `schema`."""
    return {field.name: json.loads(field.metadata[NAMES]) for field in schema if NAMES in (field.metadata or {})}


def holds_nulls(field: "pa.Field") -> bool:
    """Return whether a null of a column packed in `field` is a NaN of its own."""
    return (field.metadata or {}).get(NULLS) == NAN


def named_schema(schema: "pa.Schema") -> "pa.Schema":
    """Return the schema that readers see: the columns of each matrix by name, in its place."""
    import pyarrow as pa

    names = packed_names(schema)
    return pa.schema(
        field
        for stored in schema
        for field in (
            [pa.field(name, stored.type.value_type, holds_nulls(stored)) for name in names[stored.name]]
            if stored.name in names
            else [stored]
        )
    )
