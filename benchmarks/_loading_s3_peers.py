"""Owns the other loaders that read a bucket: their datasets there, by their own writers, and one cold epoch of one.

The Python of their environment runs it. `_loading_s3_peers.py write FOLDER ROWS SHARD_BYTES` stores the blobs in the
form of each; `_loading_s3_peers.py SUBJECT FOLDER` prints what one epoch took as JSON, with copies in that folder.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _loading_data import BLOB_BYTES, binaries, blobs, write_litdata, write_mds
from _loading_run import _as_list, import_streaming
from _loading_s3 import BATCH, drained
from _remote import BUCKET, bucket

SEED = 1
BUFFER_ROWS = 1_000
WORKERS = 2
_FOLDER = "peers"

Batches = Iterator[Any]  # Any: whatever a loader gives; the staging buffer knows them all


def write(folder: Path, rows: int, shard_bytes: int) -> None:
    """Store the blobs in the bucket as LitData, MDS, and Parquet of Hugging Face, in files of about `shard_bytes`."""
    write_litdata(folder / "litdata", ({"b": blob} for blob in blobs(rows)), chunk_bytes=shard_bytes)
    _move(folder / "litdata")
    write_mds(folder / "mds", {"b": "bytes"}, ({"b": blob} for blob in blobs(rows)), size_limit=shard_bytes)
    _move(folder / "mds")
    _write_huggingface(folder / "huggingface", rows, int(shard_bytes / np.mean(BLOB_BYTES)))
    _move(folder / "huggingface")


def _write_huggingface(folder: Path, rows: int, file_rows: int) -> None:
    import datasets

    folder.mkdir()
    table = binaries(rows)
    for number, start in enumerate(range(0, rows, file_rows)):
        datasets.Dataset(table.slice(start, file_rows)).to_parquet(folder / f"{number:05d}.parquet")


def _move(folder: Path) -> None:
    """Upload what was written, and remove it here."""
    import obstore

    behind = bucket()
    for file in sorted(folder.iterdir()):
        obstore.put(behind, f"{_FOLDER}/{folder.name}/{file.name}", file)
    shutil.rmtree(folder)


def _url(name: str) -> str:
    return f"s3://{BUCKET}/{_FOLDER}/{name}"


def litdata(folder: Path, workers: int) -> Batches:
    """Shuffle chunks, and the rows of each."""
    from litdata import StreamingDataLoader, StreamingDataset
    from litdata.streaming import downloader

    # Its options have no place for it, and without obstore it is slower.
    downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
    found = StreamingDataset(
        _url("litdata"),
        cache_dir=str(folder / "litdata"),
        shuffle=True,
        seed=SEED,
        max_pre_download=8,
        storage_options={"endpoint_url": os.environ["AWS_ENDPOINT_URL"]},
    )
    yield from StreamingDataLoader(found, batch_size=BATCH, num_workers=workers, collate_fn=_as_list)


def mds(folder: Path, workers: int) -> Batches:
    """Shuffle shards, and blocks of rows of some."""
    streaming = import_streaming()
    os.environ["S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    streaming.base.util.clean_stale_shared_memory()
    found = streaming.StreamingDataset(
        remote=_url("mds"),
        local=str(folder / "mds"),
        shuffle=True,
        shuffle_seed=SEED,
        batch_size=BATCH,
        predownload=4096,
    )
    yield from streaming.StreamingDataLoader(found, batch_size=BATCH, num_workers=workers, collate_fn=_as_list)


def huggingface(folder: Path, workers: int) -> Batches:
    """Shuffle files, and rows in a buffer, as Arrow."""
    import datasets
    from torch.utils.data import DataLoader

    found = datasets.load_dataset(
        "parquet",
        data_files=f"{_url('huggingface')}/*.parquet",
        split="train",
        streaming=True,
        cache_dir=str(folder / "huggingface"),
        storage_options={"endpoint_url": os.environ["AWS_ENDPOINT_URL"]},
    )
    if workers:  # between processes a row of Arrow takes all memory that it is a view of along
        shuffled = found.shuffle(seed=SEED, buffer_size=BUFFER_ROWS)
        yield from DataLoader(shuffled, BATCH, num_workers=workers, collate_fn=_as_list)
        return
    for table in found.with_format("arrow").shuffle(seed=SEED, buffer_size=BUFFER_ROWS).iter(BATCH):
        yield [_values(chunk) for chunk in table.column(0).chunks]


def _values(chunk: Any) -> Any:  # Any: an array of binaries to one of their bytes
    _, offsets, values = chunk.buffers()
    wide = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
    bounds = np.frombuffer(offsets, wide)[chunk.offset : chunk.offset + len(chunk) + 1]
    return np.frombuffer(values, np.uint8)[bounds[0] : bounds[-1]]


SUBJECTS: dict[str, tuple[str, Callable[[Path, int], Batches], int]] = {
    f"{name}, {workers} workers": (module, run, workers)
    for name, module, run in (
        ("LitData", "litdata", litdata),
        ("MDS", "boto3", mds),
        ("HF streaming", "datasets", huggingface),
    )
    for workers in (0, WORKERS)
}


def main() -> None:
    """Store the datasets, or run one subject."""
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    module, run, workers = SUBJECTS[sys.argv[1]]
    import_module(module)
    print(json.dumps(drained(lambda: run(Path(sys.argv[2]), workers))), flush=True)
    os._exit(0)  # some wait for their threads


if __name__ == "__main__":
    main()
