"""Folders of MDS and LitData for the tests, written byte by byte from the descriptions of both formats."""

import bz2
import gzip
import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
    "gz": gzip.compress,
    "br": lambda data: pa.compress(data, "brotli", asbytes=True),
    "bz2": bz2.compress,
    "snappy": lambda data: pa.compress(data, "snappy", asbytes=True),
}


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def with_head(samples: Sequence[bytes], more: bytes = b"") -> bytes:
    """Return samples behind their count, where each begins and the last one ends, and `more`."""
    at = 4 * (len(samples) + 2) + len(more)
    bounds = [at]
    for sample in samples:
        bounds.append(bounds[-1] + len(sample))
    return words(len(samples), *bounds) + more + b"".join(samples)


def mds_sample(values: Sequence[bytes], widths: Sequence[int | None]) -> bytes:
    lengths = [len(value) for value, width in zip(values, widths, strict=True) if width is None]
    return words(*lengths) + b"".join(values)


def write_mds(
    folder: Path,
    columns: Mapping[str, tuple[str, int | None]],
    shards: Sequence[Sequence[Sequence[bytes]]],
    *,
    compression: str | None = None,
    hashes: Sequence[str] = (),
    change: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Path:
    """Write a folder of MDS.

    Args:
        folder: Where.
        columns: Encoding and width of each, in the order of their names.
        shards: Of each the samples, of each the encoded values.
        compression: Of the files.
        hashes: Algorithms.
        change: Changes what the index says before it is written.
    """
    folder.mkdir(parents=True)
    widths = [width for _, width in columns.values()]
    told: dict[str, Any] = {"version": 2, "shards": []}
    for number, samples in enumerate(shards):
        raw = with_head([mds_sample(values, widths) for values in samples], b'{"format": "mds"}')
        name = f"shard.{number:05d}.mds"
        entry: dict[str, Any] = {
            "column_encodings": [encoding for encoding, _ in columns.values()],
            "column_names": list(columns),
            "column_sizes": widths,
            "compression": compression,
            "format": "mds",
            "hashes": list(hashes),
            "raw_data": _file(name, raw, hashes),
            "samples": len(samples),
            "size_limit": 2**26,
            "version": 2,
            "zip_data": None,
        }
        data = raw
        if compression:
            codec = compression.partition(":")[0]
            data = COMPRESS[codec](raw)
            name = f"{name}.{codec}"
            entry["zip_data"] = _file(name, data, hashes)
        (folder / name).write_bytes(data)
        told["shards"].append(entry)
    change(told)
    (folder / "index.json").write_text(json.dumps(told))
    return folder


def _file(name: str, data: bytes, hashes: Sequence[str]) -> dict[str, Any]:
    digests = {algorithm: hashlib.new(algorithm, data).hexdigest() for algorithm in hashes}
    return {"basename": name, "bytes": len(data), "hashes": digests}


def leaf() -> dict[str, Any]:
    return {"type": None, "context": None, "children_spec": []}


def tree(keys: Sequence[str]) -> str:
    """Return what an index of LitData says of samples that are dicts with `keys`."""
    node = {"type": "builtins.dict", "context": json.dumps(list(keys)), "children_spec": [leaf() for _ in keys]}
    return json.dumps([1, node])


def write_litdata(
    folder: Path,
    formats: Mapping[str, str],
    chunks: Sequence[Sequence[Sequence[bytes]]],
    *,
    config: Mapping[str, Any] | None = None,
    form: Callable[[bytes], bytes] = bytes,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Path:
    """Write a folder of LitData.

    Args:
        folder: Where.
        formats: Of each leaf of a sample, a dict.
        chunks: Of each the samples, of each the encoded leaves.
        config: What the index says otherwise.
        form: What is written of a chunk's bytes.
        change: Changes what the index says before it is written.
    """
    folder.mkdir(parents=True)
    told: dict[str, Any] = {
        "chunks": [],
        "config": {
            "compression": None,
            "data_format": list(formats.values()),
            "data_spec": tree(list(formats)),
            "encryption": None,
            "item_loader": "PyTreeLoader",
            **(config or {}),
        },
    }
    for number, samples in enumerate(chunks):
        raw = with_head([words(*map(len, leaves)) + b"".join(leaves) for leaves in samples])
        name = f"chunk-0-{number}.bin"
        (folder / name).write_bytes(form(raw))
        told["chunks"].append({"chunk_bytes": len(raw), "chunk_size": len(samples), "dim": None, "filename": name})
    change(told)
    (folder / "index.json").write_text(json.dumps(told))
    return folder
