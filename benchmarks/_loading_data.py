"""Owns the data of the loader benchmarks: the same samples in the form that each loader reads quickest.

Run as a script by the Python of an environment, it writes one form: `_loading_data.py FOLDER FORM ROWS-JSON`.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
FLOATS, INTEGERS = 20, 4
TABULAR_BYTES = 4 * (FLOATS + INTEGERS + 1)
TOKENS = 2048
BLOB_BYTES = (40_000, 60_000)
GROUP_ROWS = 65_536

Arrays = dict[str, Any]  # Any: numpy arrays


def tabular(rows: int) -> Arrays:
    """Return 20 floats, 4 integers and a label a row."""
    random = np.random.default_rng(1)
    return {
        "x": random.standard_normal((rows, FLOATS), dtype=np.float32),
        "c": random.integers(0, 1000, (rows, INTEGERS), dtype=np.int32),
        "y": random.random(rows, dtype=np.float32),
    }


def tokens(rows: int) -> Arrays:
    """Return 2,048 tokens a row."""
    return {"t": np.random.default_rng(3).integers(0, 50_000, (rows, TOKENS), dtype=np.int32)}


def blobs(rows: int) -> Iterator[bytes]:
    """Yield bytes like those of small images."""
    random = np.random.default_rng(2)
    pool = random.integers(0, 256, 80_000_000, dtype=np.uint8).tobytes()
    for _ in range(rows):
        size = int(random.integers(*BLOB_BYTES))
        start = int(random.integers(0, len(pool) - size))
        yield pool[start : start + size]


def matrix(values: Any) -> pa.Array:  # Any: a numpy array
    """Return a matrix as a list of fixed size, or a vector as it is."""
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.ndim == 2 else flat


def named_columns(values: Arrays) -> pa.Table:
    """Return a table of plain columns, as people have them before anything is packed."""
    columns = {
        f"{name}{number}": pa.array(np.ascontiguousarray(part[:, number]))
        for name, part in values.items()
        if part.ndim == 2
        for number in range(part.shape[1])
    }
    return pa.table({**columns, **{name: pa.array(part) for name, part in values.items() if part.ndim == 1}})


def binaries(rows: int) -> pa.Table:
    """Return a table of blobs."""
    return pa.table({"b": pa.array(list(blobs(rows)), pa.large_binary())})


def mapped(file: Path) -> pa.Table:
    """Return the table in an Arrow file, mapped."""
    return pa.ipc.open_file(pa.memory_map(str(file))).read_all()


# --- Forms. Each writes what its readers in _loading_run.py expect.


def ours(folder: Path, rows: dict[str, int]) -> None:
    """Write shards as `penstock pack` does; the samples are random as they are."""
    sys.path.insert(0, str(ROOT))
    from resources.loader.pack import shard_rows_of
    from resources.loader.shard_file import write_shard

    tables = {
        "tabular": pa.table({name: matrix(part) for name, part in tabular(rows["tabular"]).items()}),
        "tokens": pa.table({"t": matrix(tokens(rows["tokens"])["t"])}),
        "blobs": binaries(rows["blobs"]),
    }
    for kind, table in tables.items():
        (folder / kind).mkdir(parents=True)
        per_shard = shard_rows_of(table.nbytes / table.num_rows)
        for number, start in enumerate(range(0, table.num_rows, per_shard)):
            (batch,) = table.slice(start, per_shard).combine_chunks().to_batches()
            write_shard(folder / kind / f"{number:05d}.arrow", batch)


def arrow(folder: Path, rows: dict[str, int]) -> None:
    """Write one file a kind in one record batch, and plain columns as Parquet and Arrow."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    values = tabular(rows["tabular"])
    tables = {
        "tabular": pa.table({name: matrix(part) for name, part in values.items()}),
        "columns": named_columns(values),
        "tokens": pa.table({"t": matrix(tokens(rows["tokens"])["t"])}),
        "blobs": binaries(rows["blobs"]),
    }
    pq.write_table(tables["columns"], folder / "columns.parquet", row_group_size=GROUP_ROWS, compression="none")
    for name, table in tables.items():
        with pa.ipc.new_file(folder / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table.combine_chunks())


def huggingface(folder: Path, rows: dict[str, int]) -> None:
    """Write what `datasets.load_from_disk` reads."""
    import datasets

    values = tabular(rows["tabular"])
    tables = {"columns": named_columns(values), "tokens": pa.table({"t": matrix(tokens(rows["tokens"])["t"])})}
    for name, table in {**tables, "blobs": binaries(rows["blobs"])}.items():
        datasets.Dataset(table).save_to_disk(folder / name)


def lance(folder: Path, rows: dict[str, int]) -> None:
    """Write Lance datasets."""
    from lance import write_dataset

    folder.mkdir(parents=True)
    write_dataset(pa.table({name: matrix(part) for name, part in tabular(rows["tabular"]).items()}), folder / "tabular")
    write_dataset(pa.table({"t": matrix(tokens(rows["tokens"])["t"])}), folder / "tokens")
    write_dataset(binaries(rows["blobs"]), folder / "blobs")


def litdata(folder: Path, rows: dict[str, int]) -> None:
    """Write LitData chunks."""
    import torch
    from litdata.streaming.item_loader import TokensLoader

    values = tabular(rows["records"])
    records = ({name: part[row] for name, part in values.items()} for row in range(rows["records"]))
    write_litdata(folder / "tabular", records)
    whole = tokens(rows["tokens"])["t"]
    loader = TokensLoader(block_size=TOKENS)
    write_litdata(folder / "tokens", (torch.from_numpy(row) for row in whole), item_loader=loader)
    write_litdata(folder / "blobs", ({"b": blob} for blob in blobs(rows["blobs"])))


def write_litdata(folder: Path, samples: Iterator[object], **options: Any) -> None:  # Any: LitData's own
    """Write samples as LitData chunks."""
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir(parents=True)
    writer = BinaryWriter(str(folder), **{"chunk_bytes": "64MB", **options})
    for number, sample in enumerate(samples):
        writer[number] = sample
    writer.done()
    writer.merge(1)


def mds(folder: Path, rows: dict[str, int]) -> None:
    """Write MosaicML shards."""
    values = tabular(rows["records"])
    columns = {"x": f"ndarray:float32:{FLOATS}", "c": f"ndarray:int32:{INTEGERS}", "y": "float32"}
    records = ({name: part[row] for name, part in values.items()} for row in range(rows["records"]))
    write_mds(folder / "tabular", columns, records)
    rows_of_tokens = ({"t": row} for row in tokens(rows["tokens"])["t"])
    write_mds(folder / "tokens", {"t": f"ndarray:int32:{TOKENS}"}, rows_of_tokens)
    write_mds(folder / "blobs", {"b": "bytes"}, ({"b": blob} for blob in blobs(rows["blobs"])))


def write_mds(
    folder: Path,
    columns: dict[str, str],
    samples: Iterator[dict[str, Any]],  # Any: of the columns
    **options: Any,  # Any: MDSWriter's own
) -> None:
    """Write samples as MosaicML shards."""
    from _loading_run import import_streaming

    with import_streaming().MDSWriter(out=str(folder), columns=columns, **options) as out:
        for sample in samples:
            out.write(sample)


def webdataset(folder: Path, rows: dict[str, int]) -> None:
    """Write tar shards."""
    import webdataset as wds

    def write(name: str, samples: Iterator[bytes]) -> None:
        (folder / name).mkdir(parents=True)
        with wds.ShardWriter(str(folder / name / "%05d.tar"), maxsize=64e6, maxcount=20_000, verbose=0) as out:
            for number, sample in enumerate(samples):
                out.write({"__key__": f"{number:08d}", "bin": sample})

    few = rows["records"] // 5
    values = tabular(few)
    write("tabular", (b"".join(part[row].tobytes() for part in values.values()) for row in range(few)))
    write("tokens", (row.tobytes() for row in tokens(rows["tokens"])["t"]))
    write("blobs", blobs(rows["blobs"]))


FORMS: dict[str, Callable[[Path, dict[str, int]], None]] = {
    "ours": ours,
    "arrow": arrow,
    "huggingface": huggingface,
    "lance": lance,
    "litdata": litdata,
    "mds": mds,
    "webdataset": webdataset,
}


def main() -> None:
    """Write one form."""
    folder, form, rows = Path(sys.argv[1]) / sys.argv[2], sys.argv[2], json.loads(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    FORMS[form](folder, rows)


if __name__ == "__main__":
    main()
