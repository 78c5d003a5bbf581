"""Owns the recognition of folders that other loaders wrote, by their `index.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.loader.foreign.index import read_index
from resources.loader.foreign.litdata import litdata_shards
from resources.loader.foreign.mds import mds_shards
from resources.loader.shards import FileShards
from resources.loader.sources import INDEX


def foreign_shards(folder: Path) -> FileShards | None:
    """Return the shards of a folder of MDS or LitData; None if it is neither.

    Raises:
        LoaderError: If it is one of them, and damaged, or says what Penstock does not read.
    """
    index = folder / INDEX
    told = read_index(index)
    if told is None:
        return None
    if "shards" in told and "version" in told:
        return mds_shards(folder, index, told)
    if "chunks" in told and "config" in told and not _is_parquet(told):
        return litdata_shards(folder, index, told)
    return None


def _is_parquet(told: Mapping[str, Any]) -> bool:  # Any: parsed JSON
    """Return whether the index lists Parquet files, which need none."""
    config = told["config"]
    return isinstance(config, dict) and config.get("item_loader") == "ParquetLoader"  # pyright: ignore[reportUnknownMemberType]
