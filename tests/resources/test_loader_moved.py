"""Folders in `moved` that mosaicml-streaming 0.13.0 and LitData 0.2.76 wrote, of five samples each."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.pack import pack
from resources.loader.sources import source_of
from resources.storage.datasets import read_frame
from resources.storage.store import open_store

MOVED = Path(__file__).parent / "moved"
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


def rows_of(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for shard in source_of(folder, None).shards:
        batch = shard.open(None).batch
        batch.validate(full=True)
        columns = [column.storage if isinstance(column, pa.ExtensionArray) else column for column in batch.columns]
        rows += pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows


def mds_row(k: int) -> dict[str, object]:
    wide = 300 if k == 4 else 2
    return {
        "b": bytes([k]) * k,
        "s": f"text {k} µ",
        "i": k - 3,
        "u8": k,
        "u16": k * 300,
        "u32": k * 70_000,
        "u64": 2**40 + k,
        "i8": -k,
        "i16": -300 * k,
        "i32": -70_000 * k,
        "i64": -(2**40) - k,
        "f16": k / 2,
        "f32": float(np.float32(k / 3)),
        "f64": k / 7,
        "si": 10**15 + k,
        "sf": k / 3,
        "sd": f"{k}.50",
        "j": json.dumps({"a": [k, None]}),
        "nd": list(range(k + 1)),
        "nd2": [float(k)] * ((k + 1) * wide),
        "nd2.shape": [k + 1, wide],
        "ndt": list(range(k + 1)),
        "nds": [float(k)] * 6,
        "nd1": [k] * 4,
    }


def litdata_row(k: int) -> dict[str, object]:
    return {
        "i": k - 2,
        "f": k / 3,
        "s": f"s{k} µ",
        "b": bytes([k] * k),
        "t": bool(k % 2),
        "n1": list(range(k)),
        "nb": [int(k % 2 == 0)] * k,
        "n2": [float(k)] * (2 * (k + 1)),
        "n2.shape": [2, k + 1],
        "t1": list(range(k)),
        "t2": [float(k)] * (k + 1),
        "t2.shape": [1, k + 1],
        "t0": k,
        "tb": [int(k % 2 == 0)],
        "tb.shape": [1, 1],
        "in.x": k,
        "in.y": f"d{k}",
    }


@pytest.mark.parametrize("name", ["mds", "mds-zstd", "mds-snappy"])
def test_what_mosaicml_streaming_wrote_is_read(name):
    found = rows_of(MOVED / name)
    for row in found:
        assert row.pop("jpg")[:3] == JPEG  # type: ignore[index]
        assert row.pop("png")[:4] == PNG  # type: ignore[index]
    assert found == [mds_row(k) for k in range(5)]
    tensors = source_of(MOVED / name, None).schema
    assert tensors.field("nds").type == pa.fixed_shape_tensor(pa.float16(), (3, 2))


@pytest.mark.parametrize("name", ["litdata", "litdata-chunk", "litdata-batch", "litdata-sample"])
def test_what_litdata_wrote_is_read(name):
    assert rows_of(MOVED / name) == [litdata_row(k) for k in range(5)]


def test_chunks_of_litdata_that_hold_arrow_are_read():
    expected = [{"i": k, "s": f"s{k}", "l": [1.5] * k, "m": None if k < 3 else "late"} for k in range(5)]
    assert rows_of(MOVED / "litdata-arrow") == expected


def test_tokens_of_litdata_are_lists_of_a_sample_each():
    assert rows_of(MOVED / "litdata-tokens") == [{"value": list(range(10 * k, 11 * k + 7))} for k in range(5)]


@pytest.mark.parametrize("order", ["sequential", "run", "window", "exact"])
@pytest.mark.parametrize("name", ["mds-zstd", "litdata-batch"])
def test_a_folder_is_loaded_as_it_is(name, order):
    loader = Loader(MOVED / name, 2, order=order, columns=["i", "s"])
    found = [(int(i), s) for batch in loader for i, s in zip(*batch.to_pydict().values(), strict=True)]
    shift, text = (3, "text {} µ") if name == "mds-zstd" else (2, "s{} µ")
    assert sorted(found) == [(k - shift, text.format(k)) for k in range(5)]


@pytest.mark.parametrize("name", ["mds", "litdata", "litdata-arrow", "litdata-tokens"])
def test_a_folder_is_packed_to_the_same_rows(tmp_path, name):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    ref = pack(MOVED / name, store=store, scratch=tmp_path / "scratch")
    expected = rows_of(MOVED / name)
    assert ref.rows == len(expected)
    frame = read_frame(store, ref.digest)
    key = "value" if name == "litdata-tokens" else "i"
    packed = sorted(frame[key].to_list())
    assert packed == sorted(row[key] for row in expected)  # type: ignore[type-var]
    assert set(frame.columns) == set(expected[0])


@pytest.mark.parametrize("name", ["litdata-arrow", "litdata-batch", "litdata-sample"])
def test_every_byte_of_a_chunk_may_be_any_other(tmp_path, name):
    """Whatever is read of a file that nothing vouches for, it is rows or a LoaderError."""
    folder = shutil.copytree(MOVED / name, tmp_path / name)
    chunk = folder / "chunk-0-1.bin"
    whole = chunk.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        chunk.write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
        try:
            rows_of(folder)
        except LoaderError:
            refused += 1
    assert refused > 20
