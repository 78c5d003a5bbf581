"""Folders of MDS and LitData as their formats describe them: each encoding, compression and kind of damage."""

import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.foreign.cells import Cells, binary, lists
from resources.loader.foreign.mds_encodings import DTYPES
from resources.loader.sources import source_of
from tests.resources.foreign import COMPRESS, write_litdata, write_mds

NUMBERS = {"a": ("int64", 8), "b": ("str", None)}
SAMPLES = [[struct.pack("<q", number), b"x" * number] for number in range(7)]
LEAVES = {"a": "int", "b": "str"}


def table_of(folder):
    source = source_of(folder, None)
    return pa.Table.from_batches([shard.open(None).batch for shard in source.shards], schema=source.schema)


def mds(tmp_path, **options):
    return write_mds(tmp_path / "mds", NUMBERS, [SAMPLES[:4], SAMPLES[4:]], **options)


def litdata(tmp_path, **options):
    return write_litdata(tmp_path / "litdata", LEAVES, [SAMPLES[:4], SAMPLES[4:]], **options)


EXPECTED = {"a": list(range(7)), "b": ["x" * number for number in range(7)]}


@given(values=st.lists(st.binary(max_size=9), max_size=20), gaps=st.integers(0, 3))
def test_cells_are_cut_out_as_they_lie(values, gaps):
    data = b"?" * gaps + (b"?" * gaps).join(values)
    lengths = np.array([len(value) for value in values], np.int64)
    starts = np.cumsum(lengths + gaps) - lengths
    cells = Cells(data=pa.py_buffer(data), starts=starts, lengths=lengths, name="cells")
    assert binary(cells, pa.binary()).to_pylist() == values
    made = lists(cells, np.dtype(np.uint8), pa.list_(pa.uint8()))
    made.validate(full=True)
    assert made.to_pylist() == [list(value) for value in values]


@pytest.mark.parametrize("compression", [None, *COMPRESS, "zstd:9"])
def test_shards_of_mds_are_read_whatever_their_compression(tmp_path, compression):
    folder = mds(tmp_path, compression=compression, hashes=["md5", "sha1", "sha256"])
    assert table_of(folder).to_pydict() == EXPECTED


@pytest.mark.parametrize("code", DTYPES)
def test_every_type_of_array_and_number_of_mds_is_read(tmp_path, code):
    dtype = np.dtype(DTYPES[code])
    rows = [np.arange(6).astype(dtype), np.arange(6, 12).astype(dtype)]
    columns = {
        "any": ("ndarray", None),
        "fixed": (f"ndarray:{dtype.name}:2,3", 6 * dtype.itemsize),
        "flat": (f"ndarray:{dtype.name}:6", 6 * dtype.itemsize),
        "one": (dtype.name, dtype.itemsize),
    }
    encoded = [
        [bytes([code, 2 << 2, 3, 2]) + row.tobytes(), row.tobytes(), row.tobytes(), row[:1].tobytes()] for row in rows
    ]
    table = table_of(write_mds(tmp_path / "mds", columns, [encoded]))
    assert table.schema.field("fixed").type.shape == [2, 3]
    flat = [row.tolist() for row in rows]
    assert table.column("any").to_pylist() == table.column("flat").to_pylist() == flat
    assert table.column("any.shape").to_pylist() == [[3, 2], [3, 2]]
    assert table.column("one").to_pylist() == [row[0] for row in flat]
    assert table.column("fixed").combine_chunks().to_numpy_ndarray().tolist() == [
        row.reshape(2, 3).tolist() for row in rows
    ]


def test_arrays_of_mds_tell_their_shape_in_numbers_of_any_width(tmp_path):
    shapes = {0: (2, 3), 1: (300, 1), 2: (70_000, 1), 3: (1, 2)}
    encoded = [
        [bytes([2 << 2 | code]) + np.array(shape, f"<u{2**code}").tobytes() + bytes(int(np.prod(shape)))]
        for code, shape in shapes.items()
    ]
    table = table_of(write_mds(tmp_path / "mds", {"x": ("ndarray:uint8", None)}, [encoded]))
    assert table.column("x.shape").to_pylist() == [list(shape) for shape in shapes.values()]


def test_texts_of_mds_that_stand_for_numbers_become_numbers(tmp_path):
    columns = {"f": ("str_float", None), "i": ("str_int", None), "j": ("json", None)}
    table = table_of(write_mds(tmp_path / "mds", columns, [[[b"1e+20", b"-7", b'{"a": 1}'], [b"inf", b"0", b"[]"]]]))
    assert table.to_pydict() == {"f": [1e20, float("inf")], "i": [-7, 0], "j": ['{"a": 1}', "[]"]}


@pytest.mark.parametrize(
    ("encoding", "value", "says"),
    [
        ("pkl", b"", "pickle runs whatever code"),
        ("pil", b"", "raw pixels"),
        ("int128", b"", "unknown encoding 'int128'; did you mean"),
        ("ndarray:float8", b"", "unknown type of ndarray 'float8'"),
        ("ndarray:int8:0,3", b"", "shape '0,3'"),
        ("ndarray:int8:65536,65536", b"", r"2\*\*31 elements"),
        ("ndarray", b"\x07\x04\x01a", "its first array is of type 7"),
        ("ndarray", b"", "row 0 has 0 bytes, 1 are needed"),
        ("ndarray:int16", b"\x04\x02abc", "row 0 has 3 bytes for int16 of shape"),
        ("ndarray:int16", b"\x08\x02", "row 0 has 2 bytes, 3 are needed"),
        ("str", b"\xff\xfe", "no string"),
        ("str_int", b"9" * 30, "holds a text that is no int64"),
        ("int", b"1234", "row 0 has 4 bytes, its encoding has 8"),
    ],
)
def test_columns_of_mds_that_cannot_be_read_are_named(tmp_path, encoding, value, says):
    folder = write_mds(tmp_path / "mds", {"good": ("str", None), "odd": (encoding, None)}, [[[b"x", value]]])
    with pytest.raises(LoaderError, match=says) as caught:
        table_of(folder)
    assert "'odd'" in str(caught.value)
    assert encoding not in ("pkl", "pil") or "write the column" in str(caught.value)


def test_arrays_of_another_type_or_number_of_axes_than_the_first_are_named(tmp_path):
    one, other, more = bytes([8, 4, 1, 7]), bytes([9, 4, 1, 7]), bytes([8, 8, 1, 1, 7])
    with pytest.raises(LoaderError, match="has int8 in row 1, uint8 in the first"):
        table_of(write_mds(tmp_path / "types", {"x": ("ndarray", None)}, [[[one], [other]]]))
    with pytest.raises(LoaderError, match="of 2 axes in row 1, of 1 in the first"):
        table_of(write_mds(tmp_path / "axes", {"x": ("ndarray", None)}, [[[one], [more]]]))


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("options", "damage", "says"),
    [
        ({}, cut, "bytes, the index says"),
        ({"hashes": ["sha1"]}, flip, "its sha1 is .* the index says"),
        ({"compression": "zstd"}, cut, "the index says"),
        ({}, lambda path: path.unlink(), "cannot read .*No such file"),
        ({}, lambda path: path.write_bytes(path.read_bytes()[::-1]), "samples, the index says 3"),
    ],
)
def test_a_damaged_shard_of_mds_is_named(tmp_path, options, damage, says):
    folder = mds(tmp_path, **options)
    file = next(path for path in folder.iterdir() if "00001" in path.name)
    damage(file)
    with pytest.raises(LoaderError, match=says) as caught:
        table_of(folder)
    assert file.name in str(caught.value)


@pytest.mark.parametrize("codec", COMPRESS)
@pytest.mark.parametrize("size", [-40, 40])
def test_a_shard_that_holds_more_or_less_than_it_says_is_named(tmp_path, codec, size):
    def lie(told: dict[str, Any]) -> None:
        told["shards"][1]["raw_data"]["bytes"] += size

    folder = mds(tmp_path, compression=codec, change=lie)
    with pytest.raises(LoaderError, match=f"shard.00001.mds.{codec} is damaged"):
        table_of(folder)


def test_every_byte_of_a_shard_may_be_any_other(tmp_path):
    """Whatever is read of a file that nothing vouches for, it is rows or a LoaderError."""
    for write, name in ((mds, "shard.00001.mds"), (litdata, "chunk-0-1.bin")):
        folder = write(tmp_path)
        whole = (folder / name).read_bytes()
        caught = 0
        for at in range(len(whole)):
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
            try:
                table_of(folder).validate(full=True)
            except LoaderError as error:
                assert name in str(error)  # noqa: PT017
                caught += 1
        assert caught > 20


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("format", "json", "format 'json'"),
        ("version", 3, "version 3"),
        ("column_sizes", [8], "an encoding and a size each"),
        ("column_names", ["a", "a"], "an encoding and a size each"),
        ("column_names", ["a", 3], "3 stands where a text is needed"),
        ("samples", -1, "samples is -1"),
        ("samples", 2**40, "samples is"),
        ("raw_data", None, "a file is None"),
        ("raw_data", {"basename": "../x", "bytes": 1}, "a path within the folder"),
        ("raw_data", {"basename": "/etc/passwd", "bytes": 1}, "a path within the folder"),
        ("raw_data", {"basename": "x", "bytes": 1, "hashes": []}, None),
        ("zip_data", {"basename": "x", "bytes": 1}, "compression None"),
        ("column_encodings", ["int64", "bytes"], "has other columns than the first"),
    ],
)
def test_an_index_of_mds_that_is_wrong_is_named(tmp_path, key, value, says):
    folder = mds(tmp_path, change=lambda told: told["shards"][1].update({key: value}))
    with pytest.raises(LoaderError, match=says) as caught:
        table_of(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"version": 2, "shards": []}', "lists no shards"),
        ('{"version": 2, "shards": 3}', "shards is 3, a list"),
        ('{"version": 2, "shards": [4]}', "a shard is 4, an object"),
        ('{"version": 2, "shards": [', "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ('{"chunks": [], "config": {}}', "lists no chunks"),
        ('{"chunks": [], "config": 3}', "config is 3"),
    ],
)
def test_an_index_that_is_malformed_is_named(tmp_path, text, says):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(LoaderError, match=says):
        Loader(tmp_path, 4)


def test_an_index_of_something_else_leaves_the_files_of_a_folder_alone(tmp_path):
    (tmp_path / "index.json").write_text('{"title": "rides"}')
    with pa.ipc.new_file(tmp_path / "rows.arrow", pa.schema({"x": pa.int64()})) as writer:
        writer.write_batch(pa.record_batch({"x": pa.array([1, 2], pa.int64())}))
    assert Loader(tmp_path, 4).rows == 2


def test_a_chunk_of_litdata_is_read(tmp_path):
    assert table_of(litdata(tmp_path)).to_pydict() == EXPECTED


def test_arrays_of_litdata_with_and_without_heads_are_read(tmp_path):
    formats = {"numpy": "numpy", "torch": "tensor", "flat": "no_header_numpy:8", "number": "tensor"}
    rows = [np.arange(2 * count, dtype=np.float16).reshape(2, count) for count in (1, 3)]
    encoded = [
        [
            struct.pack("<4I", 8, 2, *row.shape) + row.tobytes(),
            struct.pack(">4I", 8, 2, *row.shape) + row.tobytes(),
            row.tobytes(),
            struct.pack(">2I", 17, 0) + struct.pack("<q", row.size),
        ]
        for row in rows
    ]
    table = table_of(write_litdata(tmp_path / "litdata", formats, [encoded[:1], encoded[1:]]))
    for name in ("numpy", "torch"):
        assert table.column(name).to_pylist() == table.column("flat").to_pylist() == [r.ravel().tolist() for r in rows]
        assert table.column(f"{name}.shape").to_pylist() == [[2, 1], [2, 3]]
    assert table.column("number").to_pylist() == [2, 6]


@pytest.mark.parametrize(
    ("format", "value", "says"),
    [
        ("pickle", b"", "pickle runs whatever code"),
        ("graph", b"", "pickle"),
        ("pil", b"", "raw pixels"),
        ("json", b"", "only LitData reads"),
        ("flaot", b"", "unknown format 'flaot'; did you mean 'float'"),
        ("no_header_numpy:14", b"", "arrays of type object"),
        ("no_header_tensor:10", b"", "arrays of type bfloat16"),
        ("no_header_tensor:x", b"", "arrays of type number -1"),
        ("tensor", struct.pack(">2I", 0, 2**31), "axes, 64 at most"),
        ("tensor", struct.pack(">4I", 0, 2, 2**32 - 1, 2**32 - 1), "bytes for float32 of shape"),
        ("tensor", b"123", "row 0 has 3 bytes, 8 are needed"),
        ("no_header_numpy:2", b"12345", "no multiple of 4|bytes for int32"),
        ("bool", b"12", "row 0 has 2 bytes, its encoding has 1"),
    ],
)
def test_leaves_of_litdata_that_cannot_be_read_are_named(tmp_path, format, value, says):
    folder = write_litdata(tmp_path / "litdata", {"good": "str", "odd": format}, [[[b"x", value]]])
    with pytest.raises(LoaderError, match=says) as caught:
        table_of(folder)
    assert "'odd'" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"encryption": {"algorithm": "fernet"}}, "encrypted"),
        ({"item_loader": "TemporalArrayLoader"}, "TemporalArrayLoader"),
        ({"compression": "lz77"}, "compression 'lz77'"),
        ({"compression_level": "page"}, "compression_level 'page'"),
        ({"data_format": ["int"]}, "data_spec has 2 leaves, data_format has 1"),
        ({"data_spec": "[1, 2]"}, "a node of data_spec is 2"),
        ({"data_spec": "{"}, "a tree is needed"),
        ({"data_spec": json.dumps([1, {"type": "a.B", "context": None, "children_spec": []}])}, "type 'a.B'"),
        ({"data_spec": json.dumps([1, {"type": "builtins.dict", "context": "[1]", "children_spec": []}])}, "0 values"),
        ({"item_loader": "TokensLoader"}, "one array without a head"),
    ],
)
def test_an_index_of_litdata_that_is_wrong_is_named(tmp_path, config, says):
    with pytest.raises(LoaderError, match=says):
        table_of(litdata(tmp_path, config=config))


def test_two_leaves_of_one_name_are_refused(tmp_path):
    formats = {"x": "tensor", "x.shape": "int"}
    value = struct.pack(">4I", 11, 2, 1, 1) + b"1"
    folder = write_litdata(tmp_path / "litdata", formats, [[[value, struct.pack("<q", 1)]]])
    with pytest.raises(LoaderError, match=r"two columns 'x.shape'"):
        table_of(folder)


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b"LDFZ01\0\0" + path.read_bytes()[8:])])
def test_a_damaged_chunk_of_litdata_is_named(tmp_path, damage):
    folder = litdata(tmp_path, form=COMPRESS["zstd"], config={"compression": "zstd"})
    damage(folder / "chunk-0-1.bin")
    with pytest.raises(LoaderError, match=r"chunk-0-1\.bin is damaged"):
        table_of(folder)


def test_a_sample_that_is_decompressed_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.loader.foreign.files.MOST_BYTES", 2**16)
    bomb = COMPRESS["zstd"](bytes(2**20))
    config = {"compression": "zstd", "compression_level": "sample"}
    folder = write_litdata(tmp_path / "litdata", LEAVES, [[[bomb, b""]]], config=config)
    (folder / "chunk-0-0.bin").write_bytes(struct.pack("<3I", 1, 12, 12 + len(bomb)) + bomb)
    told = json.loads((folder / "index.json").read_text())
    told["chunks"][0]["chunk_bytes"] = 12 + len(bomb)
    (folder / "index.json").write_text(json.dumps(told))
    with pytest.raises(LoaderError, match=r"chunk-0-0\.bin, sample 0 is damaged"):
        table_of(folder)
