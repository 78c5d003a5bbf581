"""Owns the making of a record batch of cells: only the columns that are wanted are decoded."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from resources.errors import LoaderError
from resources.loader.foreign.cells import Cells
from resources.loader.foreign.decoders import Decoder


def schema_of(decoders: Sequence[Decoder], index: Path) -> pa.Schema:
    """Return the schema of all columns.

    Raises:
        LoaderError: If two have one name.
    """
    fields = [field for decoder in decoders for field in decoder.fields]
    twice = [name for name, count in Counter(field.name for field in fields).items() if count > 1]
    if twice:
        raise LoaderError(f"{index} tells of two columns {twice[0]!r}: write the folder again with names of their own")
    return pa.schema(fields)


def selected(cells: Sequence[Cells], decoders: Sequence[Decoder], columns: Sequence[str] | None) -> pa.RecordBatch:
    """Return the columns named, or all, of cells and the decoders of each.

    Raises:
        LoaderError: If one is damaged.
    """
    fields: list[pa.Field] = []
    arrays: list[pa.Array] = []
    for one, decoder in zip(cells, decoders, strict=True):
        wanted = [number for number, field in enumerate(decoder.fields) if columns is None or field.name in columns]
        made = decoder.decode(one) if wanted else ()
        fields += [decoder.fields[number] for number in wanted]
        arrays += [made[number] for number in wanted]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
