import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from resources.canonical import canonical_json
from resources.errors import ContractError, IntegrityError, ObjectMissing, StoreError
from resources.settings import PROJECT_ROOT
from resources.storage import grouping
from resources.storage.datasets import SnapshotWriter, read_frame, scan, write_table
from resources.storage.files import file_path
from resources.storage.folder import FolderStore
from resources.storage.manifest import read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.objects import put_object
from tests.resources.disks import tiny_disk

__all__ = ["tiny_disk"]

SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("s", pa.string()),
    ]
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def rows(count: int, start: int = 0) -> pa.Table:
    numbers = range(start, start + count)
    day = dt.datetime(2011, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "at": [day + dt.timedelta(hours=number) for number in numbers],
            "n": list(numbers),
            "s": [None if number % 7 == 0 else f"text {number}" for number in numbers],
        },
        schema=SCHEMA,
    )


def test_what_is_written_is_what_is_read(store, scratch):
    table = rows(1000)

    ref = write_table(store, table, scratch=scratch, partitions=("2011-01",), report_digest="r" * 64)

    assert_frame_equal(read_frame(store, ref.digest), pl.DataFrame(table))
    assert_frame_equal(read_frame(store, ref.digest, ["n"]), pl.DataFrame(table.select(["n"])))
    assert (ref.rows, ref.partitions, ref.report_digest, ref.location) == (1000, ("2011-01",), "r" * 64, store.url)
    found = read_manifest(store, ref.digest)
    assert found.schema == SCHEMA
    assert (found.rows, found.size_bytes) == (1000, ref.size_bytes)
    assert sum(path.stat().st_size for path in shards(store, ref.digest)) == ref.size_bytes


def shards(store: FolderStore, digest: str) -> list[Path]:
    return [file_path(store, file) for file in read_manifest(store, digest).shards.files]


def test_the_digest_knows_neither_store_nor_scratch_nor_partition(store, scratch, tmp_path):
    other = ObjectStore("memory://digest-knows", cache=tmp_path / "cache")

    first = write_table(store, rows(100), scratch=scratch)
    second = write_table(other, rows(100), scratch=tmp_path / "elsewhere", partitions=("p",))

    assert first.digest == second.digest
    assert first.schema_fingerprint == second.schema_fingerprint


def test_the_digest_changes_with_a_value_a_name_a_type_and_the_order(store, scratch):
    table = rows(10)
    others = [
        table.set_column(1, SCHEMA.field("n"), [pa.array([99, *range(1, 10)])]),
        table.rename_columns(["at", "m", "s"]),
        table.set_column(1, "n", [pa.array(range(10), pa.int32())]),
        table.take(list(reversed(range(10)))),
        table.slice(0, 9),
    ]

    digests = {write_table(store, item, scratch=scratch).digest for item in [table, *others]}

    assert len(digests) == 6


def test_a_polars_frame_and_its_arrow_table_are_the_same_dataset(store, scratch):
    table = pa.table({"n": pa.array([1, 2, None]), "s": pa.array(["a", None, "c"], pa.string())})

    from_arrow = write_table(store, table, scratch=scratch)
    from_polars = write_table(store, pl.DataFrame(table), scratch=scratch)

    assert from_arrow.digest == from_polars.digest


def test_metadata_that_readers_attach_to_a_schema_does_not_count(store, scratch):
    table = rows(10)

    plain = write_table(store, table, scratch=scratch)
    tagged = write_table(store, table.replace_schema_metadata({"pandas": "{}"}), scratch=scratch)
    reread = write_table(store, pq.read_table(shards(store, plain.digest)[0]), scratch=scratch)

    assert plain.digest == tagged.digest == reread.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    values=st.lists(
        st.tuples(st.none() | st.text(max_size=20), st.none() | st.floats(allow_nan=False), st.integers(-5, 5)),
        max_size=90,
    ),
    cuts=st.lists(st.integers(0, 90), max_size=12),
    rows_per_shard=st.integers(1, 50),
)
def test_equal_rows_give_equal_bytes_however_they_are_batched(store, scratch, values, cuts, rows_per_shard):
    schema = pa.schema(
        [pa.field("s", pa.string()), pa.field("x", pa.float64()), pa.field("n", pa.int64(), nullable=False)]
    )
    table = pa.Table.from_pylist([dict(zip("sxn", row, strict=True)) for row in values], schema=schema)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "GROUP_ROWS", 16)
        patch.setattr(grouping, "UNIT_ROWS", 4)
        patch.setattr(grouping, "GROUP_BYTES", 300)
        whole = write_table(store, table, scratch=scratch, rows_per_shard=rows_per_shard)
        with SnapshotWriter(store, schema, scratch=scratch, rows_per_shard=rows_per_shard) as writer:
            for batch in batches(table, cuts):
                writer.write(batch)
            cut = writer.commit()

    assert cut == whole
    assert_frame_equal(read_frame(store, cut.digest), pl.DataFrame(table))
    assert all(shard.rows <= rows_per_shard for shard in read_manifest(store, cut.digest).shards)


def batches(table: pa.Table, cuts: list[int]) -> Iterator[pa.Table | pa.RecordBatch]:
    borders = sorted({0, *(min(cut, table.num_rows) for cut in cuts), table.num_rows})
    for start, end in pairwise(borders):
        part = table.slice(start, end - start)
        yield part if start % 2 else part.combine_chunks().to_batches()[0]


def test_a_full_shard_is_followed_by_the_next(store, scratch):
    ref = write_table(store, rows(1000), scratch=scratch, rows_per_shard=300)

    assert read_manifest(store, ref.digest).shards.rows == [300, 300, 300, 100]
    assert read_frame(store, ref.digest)["n"].to_list() == list(range(1000))


def test_a_shard_is_closed_when_its_file_is_large(store, scratch, monkeypatch):
    monkeypatch.setattr(grouping, "GROUP_ROWS", 100)
    monkeypatch.setattr(grouping, "UNIT_ROWS", 100)

    ref = write_table(store, rows(1000), scratch=scratch, max_shard_bytes=1)

    assert read_manifest(store, ref.digest).shards.rows == [100] * 10


def test_long_texts_make_short_row_groups(store, scratch):
    text = "x" * 10_000  # 12,288 rows of it are 123 MB, more than the 64 MiB of a row group
    table = pa.table({"s": pa.array([text]).take(pa.array([0] * 12_288))})

    ref = write_table(store, table, scratch=scratch)

    file = pq.ParquetFile(shards(store, ref.digest)[0])
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [8192, 4096]


def test_whole_numbers_are_stored_as_differences_and_what_repeats_as_a_dictionary(store, scratch):
    columns = {
        "n": pa.array([5, None, 7, 2**62] * 250),
        "day": pa.array([dt.date(2011, 1, 1), dt.date(2012, 2, 29)] * 500),
        "at": pa.array(range(1000), pa.timestamp("us", tz="UTC")),
        "city": pa.array(["a", "b"] * 500),
        "fare": pa.array([1.25, 2.5] * 500),
        "name": pa.array([f"name {i}" for i in range(1000)]),
        "x": pa.array([i / 7 for i in range(1000)]),
        "fine": pa.array([True, None] * 500),
        "pair": pa.array([[1, 2]] * 1000),
    }

    table = pa.table(columns)

    ref = write_table(store, table, scratch=scratch)

    assert_frame_equal(read_frame(store, ref.digest), pl.DataFrame(table))
    file = pq.ParquetFile(shards(store, ref.digest)[0])
    assert file.read().equals(table)
    group = file.metadata.row_group(0)
    chosen = [set(group.column(index).encodings) - {"RLE"} for index in range(group.num_columns)]
    assert chosen[:3] == [{"DELTA_BINARY_PACKED"}] * 3
    assert all("RLE_DICTIONARY" in encodings for encodings in chosen[3:5])
    assert chosen[5:] == [{"PLAIN"}] * 4


def test_an_empty_dataset_keeps_its_schema(store, scratch):
    with SnapshotWriter(store, SCHEMA, scratch=scratch) as writer:
        ref = writer.commit()

    assert ref.rows == 0
    assert read_manifest(store, ref.digest).schema == SCHEMA
    assert_frame_equal(scan(store, ref.digest).collect(), pl.DataFrame(rows(0)))
    assert ref == write_table(store, rows(0), scratch=scratch)


@pytest.mark.parametrize(
    "kind",
    [
        pa.bool_(), pa.int8(), pa.uint64(), pa.float32(), pa.date32(), pa.time64("us"), pa.timestamp("ns"),
        pa.timestamp("us", tz="Europe/Paris"), pa.duration("us"), pa.decimal128(10, 2), pa.binary(), pa.large_string(),
        pa.list_(pa.int64()), pa.struct([("a", pa.int64())]),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_a_contract_may_name_survives(store, scratch, kind):
    sample = {"list<item: int64>": [1, 2], "struct<a: int64>": {"a": 1}, "binary": b"x", "large_string": "x"}
    one = pa.array(
        [sample.get(str(kind), 1 if str(kind) != "bool" else True), None], None if str(kind) in sample else kind
    )
    table = pa.table({"c": one.cast(kind)})

    ref = write_table(store, table, scratch=scratch)

    assert pq.read_table(shards(store, ref.digest)[0]).equals(table)
    assert read_manifest(store, ref.digest).schema == table.schema
    assert read_frame(store, ref.digest).height == 2


def test_leaving_without_commit_stores_no_dataset_and_clears_the_scratch(store, scratch):
    class Stop(Exception):
        pass

    def interrupted() -> None:
        with SnapshotWriter(store, SCHEMA, scratch=scratch, rows_per_shard=100) as writer:
            writer.write(rows(1000))
            raise Stop

    with pytest.raises(Stop):
        interrupted()

    assert list(scratch.iterdir()) == []
    assert all(path.read_bytes()[:4] == b"PAR1" for path in map(store.local, store.list("objects")))


def test_commit_clears_the_scratch(store, scratch):
    write_table(store, rows(1000), scratch=scratch, rows_per_shard=100)

    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (pa.table({"n": [1]}), "has columns .*'n'.* its dataset has .*'at', 'n', 's'"),
        (rows(1).select(["n", "at", "s"]), "has columns"),
        (rows(1).set_column(1, "n", [pa.array([1], pa.int32())]), "column 'n' is int32, its dataset says int64: cast"),
        (rows(1).set_column(1, "n", [pa.array([None], pa.int64())]), "column 'n' may not be null but 1 values are"),
    ],
)  # fmt: skip
def test_rows_of_another_shape_are_refused(store, scratch, batch, said):
    with SnapshotWriter(store, SCHEMA, scratch=scratch) as writer, pytest.raises(ContractError, match=said):
        writer.write(batch)


def test_a_type_that_parquet_cannot_hold_is_refused(store, scratch):
    table = pa.table({"u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])})

    with pytest.raises(ContractError, match="choose another column type"):
        write_table(store, table, scratch=scratch)


def test_categories_are_stored_as_their_texts(store, scratch):
    texts = pl.DataFrame({"c": ["b", None, "a", "b"]})
    categories = texts.cast(pl.Categorical)

    encoded = pa.table({"c": pa.array(["b", None, "a", "b"]).dictionary_encode()})

    refs = [write_table(store, table, scratch=scratch) for table in (texts, categories, encoded)]

    assert len({ref.digest for ref in refs}) == 1


def test_a_dictionary_in_a_stream_is_refused_with_the_type_to_cast_to(store, scratch):
    schema = pa.schema([("c", pa.dictionary(pa.int32(), pa.string()))])

    with pytest.raises(ContractError, match=r"column 'c' is dictionary.*: cast it to string"):
        SnapshotWriter(store, schema, scratch=scratch)


def test_a_shard_without_room_for_a_row_is_refused(store, scratch):
    with pytest.raises(ValueError, match="at least 1 row"):
        SnapshotWriter(store, SCHEMA, scratch=scratch, rows_per_shard=0)


def test_an_altered_shard_is_detected(store, scratch):
    ref = write_table(store, rows(100), scratch=scratch)
    path = shards(store, ref.digest)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(IntegrityError, match="was altered"):
        read_frame(store, ref.digest)


def test_a_missing_shard_and_a_missing_dataset_are_named(store, scratch):
    ref = write_table(store, rows(100), scratch=scratch)
    shard = read_manifest(store, ref.digest).shards[0].file.key
    store.delete(shard)

    with pytest.raises(ObjectMissing, match=shard):
        scan(store, ref.digest)
    with pytest.raises(ObjectMissing, match="a" * 64):
        read_manifest(store, "a" * 64)


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"[]", b"{}", canonical_json({"kind": "bundle", "format": 1}),
     canonical_json({"kind": "dataset", "format": 1, "schema": "", "shards": []}),
     canonical_json({"kind": "dataset", "format": 2, "schema": "?", "shards": {}, "statistics": {}}),
     canonical_json({"kind": "dataset", "format": 2, "schema": "AAAA", "shards": {}, "statistics": {}}),
     canonical_json({"kind": "dataset", "format": 2, "schema": "", "shards": [], "statistics": {}})],
)  # fmt: skip
def test_what_is_no_manifest_is_refused_as_one(store, content):
    digest = put_object(store, content)

    with pytest.raises(IntegrityError, match=f"{digest} .* is no dataset manifest of format 2"):
        read_manifest(store, digest)


def test_a_full_scratch_disk_is_named_and_cleared(store, tiny_disk):
    noise = pa.table({"b": pa.array([os.urandom(1000) for _ in range(3000)])})

    with pytest.raises(
        StoreError, match=r"cannot write to scratch folder .*/tiny: the disk is full; .*PENSTOCK_SCRATCH"
    ):
        write_table(store, noise, scratch=tiny_disk)

    assert list(tiny_disk.iterdir()) == []
    assert store.list("") == []


def test_a_full_store_disk_is_named_and_shows_no_dataset(scratch, tiny_disk):
    store = FolderStore(tiny_disk / "store")
    kept = write_table(store, rows(10), scratch=scratch)
    noise = pa.table({"b": pa.array([os.urandom(1000) for _ in range(3000)])})

    with pytest.raises(StoreError, match=r"cannot create files/md5/.* in store .*/tiny/store: No space left on device"):
        write_table(store, noise, scratch=scratch, rows_per_shard=1000)

    assert read_frame(store, kept.digest).height == 10
    assert list(scratch.iterdir()) == []


def test_a_failing_store_stops_a_long_write_early(scratch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = FolderStore(tmp_path / "file" / "store")

    batch = rows(10_000)
    written = 0

    def endless() -> None:
        nonlocal written
        with SnapshotWriter(store, SCHEMA, scratch=scratch, rows_per_shard=4096) as writer:
            while written < 1_000:
                writer.write(batch)
                written += 1

    with pytest.raises(StoreError, match="choose another folder"):
        endless()
    assert written < 100


def test_a_scratch_that_is_a_file_is_named(store, tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreError, match=r"cannot write to scratch folder .*/file.*PENSTOCK_SCRATCH"):
        write_table(store, rows(1), scratch=tmp_path / "file")


def test_reading_and_writing_datasets_never_imports_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; import polars as pl\n"
        "from resources.storage.folder import FolderStore\n"
        "from resources.storage.datasets import write_table, read_frame\n"
        "print('pyarrow' in sys.modules, end=' ')\n"
        f"folder = Path({str(tmp_path)!r}); store = FolderStore(folder / 'store')\n"
        "frame = pl.DataFrame({'n': [1, 2], 's': ['a', None]})\n"
        "ref = write_table(store, frame, scratch=folder); assert read_frame(store, ref.digest).equals(frame)\n"
        "print('pandas' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)

    assert done.stdout.split() == ["False", "False"]


class Taking(FolderStore):
    """A store that takes files away instead of copying them."""

    def upload(self, key: str, path: Path) -> bool:
        """Store the file, and remove it."""
        created = super().upload(key, path)
        path.unlink()
        return created


def test_a_scratch_file_that_cannot_be_removed_is_a_clear_error(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write to scratch folder .*: No such file or directory; .*_SCRATCH"):
        write_table(Taking(tmp_path / "store"), pl.DataFrame({"n": [1]}), scratch=tmp_path / "scratch")
