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


def packed_names(schema: "pa.Schema") -> Mapping[str, Sequence[str]]:
    """Return field to the names of the columns packed in it, for the packed fields of `schema`."""
    return {field.name: json.loads(field.metadata[NAMES]) for field in schema if NAMES in (field.metadata or {})}
