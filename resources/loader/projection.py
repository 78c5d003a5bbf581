"""Owns the choice of columns: names, those packed in a matrix too, become what is read of each shard."""

import json
from collections.abc import Sequence

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.columns import fixed
from resources.loader.views import Column
from resources.names import unknown_name
from resources.storage.matrices import NAMES, packed_names


def chosen(schema: pa.Schema, columns: Sequence[str] | None) -> tuple[pa.Schema, tuple[Column, ...]]:
    """Return the schema of a batch of `columns`, in the order of the shards, and what is read for it.

    Args:
        schema: Of the shards.
        columns: Names of fields or of columns packed in them; None means all.

    Raises:
        LoaderError: If there is no such column, naming the nearest, or one is named twice, or none is.
    """
    packed = packed_names(schema)
    if columns is None:
        return schema.remove_metadata(), tuple(_column(field) for field in schema)
    if not isinstance(columns, list | tuple) or not columns:
        raise LoaderError(f"columns is {columns!r}: give a sequence of at least one name, or None for all")
    known = [*schema.names, *(name for names in packed.values() for name in names)]
    for number, name in enumerate(columns):
        if name not in known:
            raise LoaderError(f"columns: {unknown_name('column', name, known)}")
        if name in columns[:number]:
            raise LoaderError(f"column {name!r} is named twice: name it once")
    fields: list[pa.Field] = []
    read: list[Column] = []
    for field in schema:
        if field.name in columns:
            fields.append(field)
            read.append(_column(field))
            continue
        names = packed.get(field.name, ())
        wanted = [name for name in columns if name in names]
        if wanted:
            picked = tuple(names.index(name) for name in wanted)
            kind = pa.list_(field.type.value_field, len(wanted))
            told = {**field.metadata, NAMES: json.dumps(wanted).encode()}
            fields.append(pa.field(field.name, kind, nullable=False, metadata=told))
            read.append(_column(field, picked))
    return pa.schema(fields), tuple(read)


def fields_of(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    """Return the fields of the shards that hold `columns`, which are there."""
    packed = packed_names(schema)
    return [field.name for field in schema if {field.name, *packed.get(field.name, ())} & set(columns)]


def _column(field: pa.Field, picked: tuple[int, ...] | None = None) -> Column:
    return Column(name=field.name, kind=field.type, layout=fixed(field.type), picked=picked)
