"""Packed tokens: every token once an epoch, no row over its length, the same rows for any ranks and resumes."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.canonical import digest_bytes
from resources.errors import LoaderError
from resources.loader import Loader, State
from resources.loader.order import OrderName
from resources.loader.tokens import packed
from resources.loader.tokens.best_fit import best_fit, bins_needed
from resources.loader.tokens.packing import TokenPacking, cumulative_lengths
from resources.storage.datasets import write_table
from resources.storage.store import open_store

LENGTH = 40
DOCUMENTS = 700
GOLDEN = "d967330e8402cafb6f4adc50a16c2847aa026897dc7a98da99ac82daa5bd7a07"
ORDERS = ("sequential", "run", "window", "exact")
PACKING = TokenPacking(column="tokens", length=LENGTH)


def document(number: int) -> list[int]:
    """Return a document that tells its number: of 0 to 99 tokens, every one of them different from all others."""
    return [1 + number * 100 + place for place in range(number * 37 % 100)]


def write_documents(path, documents: Sequence[list[int]], kind: pa.DataType | None = None):
    batch = pa.record_batch({"tokens": pa.array(documents, kind or pa.list_(pa.int32()))})
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("documents")
    bounds = [0, 300, 300, 301, DOCUMENTS]
    for number in range(4):
        write_documents(made / f"{number}.arrow", [document(one) for one in range(bounds[number], bounds[number + 1])])
    return made


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(packed, "GROUP_BYTES", 2**14)  # some eighty documents each


def rows_of(loader: Loader) -> list[list[int]]:
    return [row.tolist() for batch in loader.numpy() for row in batch["tokens"]]


def pieces_of(loader: Loader) -> list[list[int]]:
    """Return the segments of all rows, after a look whether the columns of each row agree."""
    found = list[list[int]]()
    for batch in loader.numpy():
        for tokens, segments, positions, padding in zip(
            batch["tokens"], batch["segments"], batch["positions"], batch["padding"].tolist(), strict=True
        ):
            used = LENGTH - padding
            assert (tokens[used:] == 0).all()
            assert (segments[used:] == 0).all()
            count = int(segments.max())
            assert segments[:used].tolist() == sorted(segments[:used].tolist())
            for segment in range(1, count + 1):
                mine = segments == segment
                assert positions[mine].tolist() == list(range(int(mine.sum())))
                found.append(tokens[mine].tolist())
    return found


@cache
def whole_epoch(folder: Path, order: OrderName, epoch: int) -> list[list[int]]:
    return rows_of(Loader(folder, 50, order=order, epoch=epoch, pack_tokens=PACKING, threads=0))


def cut(one: list[int]) -> list[list[int]]:
    return [one[start : start + LENGTH] for start in range(0, len(one), LENGTH)]


def counted(pieces) -> Counter:
    return Counter(map(tuple, pieces))


def fullest_first(lengths: Sequence[int], capacity: int) -> list[int]:
    """Return the room left in each bin of best fit decreasing, as it is told in a textbook."""
    rooms = list[int]()
    for length in sorted(lengths, reverse=True):
        fitting = [number for number, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting, key=lambda number: rooms[number])] -= length
        else:
            rooms.append(capacity - length)
    return rooms


LENGTHS = st.integers(1, 60).flatmap(
    lambda capacity: st.tuples(st.just(capacity), st.lists(st.integers(1, capacity), max_size=150))
)


@given(LENGTHS)
def test_bins_are_those_of_best_fit_decreasing(given_lengths):
    capacity, lengths = given_lengths
    items = np.array(lengths, np.int64)
    bins = best_fit(items, capacity)
    used = np.bincount(bins, weights=items, minlength=0).astype(int) if lengths else np.empty(0, int)
    assert bins_needed(items, capacity) == len(used)
    assert sorted((capacity - used).tolist()) == sorted(fullest_first(lengths, capacity))


@pytest.mark.parametrize("order", ORDERS)
def test_every_token_comes_once_an_epoch(folder, order):
    loader = Loader(folder, 7, order=order, seed=3, pack_tokens=PACKING)
    wanted = counted(chain.from_iterable(cut(document(number)) for number in range(DOCUMENTS)))
    assert counted(pieces_of(loader)) == wanted
    assert loader.epoch == 1
    assert counted(pieces_of(loader)) == wanted


@given(
    lengths=st.lists(st.integers(0, 90), max_size=80),
    end=st.sampled_from([None, -1]),
    wide=st.booleans(),
    size=st.integers(1, 50),
    threads=st.integers(0, 3),
)
def test_any_documents_come_whole_or_in_pieces_of_a_row(tmp_path_factory, lengths, end, wide, size, threads):
    documents = [[1 + number * 100 + place for place in range(length)] for number, length in enumerate(lengths)]
    kind = pa.large_list(pa.int64()) if wide else pa.list_(pa.int32())
    file = write_documents(tmp_path_factory.mktemp("any") / "some.arrow", documents, kind)
    packing = TokenPacking(column="tokens", length=LENGTH, end_token=end)
    loader = Loader(file, size, seed=len(lengths), pack_tokens=packing, threads=threads)
    tail = [] if end is None else [end]
    assert loader.rows <= sum(len(cut(one + tail)) for one in documents)
    assert counted(pieces_of(loader)) == counted(chain.from_iterable(cut(one + tail) for one in documents))


@pytest.mark.parametrize("order", ORDERS)
def test_rows_are_the_same_for_any_number_of_threads_and_ranks(folder, order):
    def loader(**arguments):
        return Loader(folder, 5, order=order, seed=9, pack_tokens=PACKING, **arguments)

    alone = rows_of(loader(threads=0))
    assert all(rows_of(loader(threads=threads)) == alone for threads in (1, 2, 8))
    for world_size in range(1, 9):
        ranks = [loader(rank=rank, world_size=world_size) for rank in range(world_size)]
        steps = zip_longest(*(list(one.numpy()) for one in ranks), fillvalue={"tokens": np.empty((0, LENGTH))})
        assert [row.tolist() for step in steps for batch in step for row in batch["tokens"]] == alone


@settings(max_examples=30)
@given(
    order=st.sampled_from(ORDERS),
    share=st.floats(0, 1),
    size=st.integers(1, 30),
    world=st.sampled_from([1, 3, 8]),
    epoch=st.integers(0, 1),
)
def test_going_on_anywhere_with_another_world_gives_what_would_have_come(folder, order, share, size, world, epoch):
    whole = whole_epoch(folder, order, epoch)
    first = Loader(folder, 4, order=order, epoch=epoch, pack_tokens=PACKING, threads=1)
    had = [row.tolist() for batch in islice(first.numpy(), int(share * (len(first) - 1))) for row in batch["tokens"]]
    state = State.from_bytes(first.state().to_bytes())
    ranks = [
        Loader.from_state(folder, state, size, pack_tokens=PACKING, rank=rank, world_size=world, threads=0)
        for rank in range(world)
    ]
    steps = zip_longest(*(list(one.numpy()) for one in ranks), fillvalue={"tokens": np.empty((0, LENGTH))})
    rest = [row.tolist() for step in steps for batch in step for row in batch["tokens"]]
    assert had + rest == whole


def test_another_epoch_and_another_seed_pack_other_documents_together(folder):
    def rows(**arguments):
        return counted(rows_of(Loader(folder, 9, pack_tokens=PACKING, **arguments)))

    assert rows() == rows()
    assert rows() != rows(epoch=1)
    assert rows() != rows(seed=1)


def test_a_state_of_another_packing_is_refused(folder):
    state = Loader(folder, 9, pack_tokens=PACKING).state()
    with pytest.raises(LoaderError, match="give the version that it was taken from"):
        Loader.from_state(folder, state, 9, pack_tokens=TokenPacking(column="tokens", length=LENGTH + 1))
    with pytest.raises(LoaderError, match="give the version that it was taken from"):
        Loader.from_state(folder, state, 9)


def test_batches_that_are_held_never_change(folder):
    held = list(Loader(folder, 3, pack_tokens=PACKING, threads=2).numpy())
    kept = list(Loader(folder, 3, pack_tokens=PACKING, copy=True, threads=0).numpy())
    for one, other in zip(held, kept, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


def test_a_mixture_is_packed_and_ranks_share_it(tmp_path):
    small = write_documents(tmp_path / "small.arrow", [document(number) for number in range(1, 30)])
    large = write_documents(tmp_path / "large.arrow", [document(number) for number in range(30, 200)])
    mixed = {small: 0.5, large: 0.5}
    plain = Loader(mixed, 16)
    wanted = counted(chain.from_iterable(cut(list(one)) for batch in plain.numpy() for one in batch["tokens"]))
    assert counted(pieces_of(Loader(mixed, 8, pack_tokens=PACKING))) == {
        tuple(int(token) for token in piece): count for piece, count in wanted.items()
    }


def test_documents_of_a_store_are_packed_and_named_by_its_root(tmp_path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    table = pa.table({"id": range(90), "tokens": pa.array(map(document, range(90)), pa.list_(pa.int32()))})
    ref = write_table(store, table, scratch=tmp_path / "scratch", rows_per_shard=40)
    loader = Loader(ref, 4, store=store, pack_tokens=PACKING)
    assert counted(pieces_of(loader)) == counted(chain.from_iterable(cut(document(one)) for one in range(90)))
    state = State.from_bytes(loader.state().to_bytes())
    assert (state.epoch, len(state.to_bytes()) < 200) == (1, True)
    assert rows_of(Loader.from_state(ref, state, 9, store=store, pack_tokens=PACKING)) == rows_of(loader)


def test_places_in_rows_never_change_between_releases():
    lengths = np.arange(1, 4_000) * 7_919 % 1_000 + 1
    assert digest_bytes(best_fit(lengths, 2_048).tobytes()) == GOLDEN


@pytest.mark.parametrize("kind", ["parquet", "fixed"])
def test_parquet_and_documents_of_one_length_are_packed(tmp_path, kind):
    documents = [[number] * 15 for number in range(1, 60)] if kind == "fixed" else [document(n) for n in range(90)]
    file = tmp_path / f"documents.{kind}"
    if kind == "fixed":
        write_documents(file, documents, pa.list_(pa.int32(), 15))
    else:
        pq.write_table(pa.table({"tokens": pa.array(documents, pa.list_(pa.int32()))}), file, row_group_size=20)
    loader = Loader(file, 4, pack_tokens=PACKING)
    assert counted(pieces_of(loader)) == counted(chain.from_iterable(map(cut, documents)))


def test_rows_wider_than_the_ring_and_batches_larger_than_the_dataset_come(folder):
    packing = TokenPacking(column="tokens", length=2**18)
    (batch,) = list(Loader(folder, 1_000, pack_tokens=packing).numpy())
    assert set(batch["tokens"].reshape(-1).tolist()) - {0} == {
        token for number in range(DOCUMENTS) for token in document(number)
    }


@given(counts=st.lists(st.lists(st.integers(1, 5), max_size=4), min_size=1, max_size=6))
def test_cumulative_lengths_cut_rows_at_their_segments(counts):
    length = 20
    rows = [list(np.repeat(np.arange(1, len(one) + 1), one)) for one in counts]
    segments = np.array([row + [0] * (length - len(row)) for row in rows], np.int32)
    wanted = [*chain.from_iterable([*one, length - sum(one)] if sum(one) < length else one for one in counts)]
    assert np.diff(cumulative_lengths(segments)).tolist() == wanted


@pytest.mark.parametrize(
    ("packing", "message"),
    [
        ({"length": 0}, "length of packed tokens is 0: give an integer from 1"),
        ({"length": 8.0}, "length of packed tokens is 8.0"),
        ({"column": "token"}, "unknown column 'token'; did you mean 'tokens'"),
        ({"end_token": 2**31}, "end_token is 2147483648: give an integer that int32 holds"),
        ({"pad_token": None}, "pad_token is None"),
        ({"pad_token": "x"}, "pad_token is 'x'"),
        ({"split_longer": False}, r"row 27 of .*0\.arrow has 99 tokens in column 'tokens', 40 fit a row"),
    ],
)
def test_what_cannot_be_packed_is_named(folder, packing, message):
    with pytest.raises(LoaderError, match=message):
        Loader(folder, 4, pack_tokens=TokenPacking(**{"column": "tokens", "length": LENGTH, **packing}))


def test_columns_of_another_kind_or_with_nulls_are_named(tmp_path):
    texts = write_documents(tmp_path / "texts.arrow", ["a"], pa.string())
    with pytest.raises(LoaderError, match="column 'tokens' is of type string: lists of integers are packed"):
        Loader(texts, 4, pack_tokens=PACKING)
    holed = write_documents(tmp_path / "holed.arrow", [[1], None])
    with pytest.raises(LoaderError, match=r"column 'tokens' of .*holed\.arrow holds nulls: fill them with empty lists"):
        Loader(holed, 4, pack_tokens=PACKING)
    inside = write_documents(tmp_path / "inside.arrow", [[1, None]])
    with pytest.raises(LoaderError, match=r"column 'tokens' of .*inside\.arrow: a list holds a null"):
        list(Loader(inside, 4, pack_tokens=PACKING))
    with pytest.raises(LoaderError, match="pack_tokens is 2048: give a TokenPacking"):
        Loader(texts, 4, pack_tokens=2048)
    with pytest.raises(LoaderError, match="pack_tokens reads column 'tokens' alone"):
        Loader(texts, 4, columns=["other"], pack_tokens=PACKING)


def test_documents_that_changed_after_the_plan_are_told(folder, tmp_path):
    file = write_documents(tmp_path / "many.arrow", [document(number) for number in range(99)])
    loader = Loader(file, 4, pack_tokens=PACKING, threads=0)
    assert loader.rows
    file.unlink()
    write_documents(file, [[1] * 5] * 99)
    with pytest.raises(LoaderError, match=r"many\.arrow gave \d+ rows when it was planned, now \d+: load it again"):
        list(loader)


@pytest.mark.parametrize("documents", [[], [[]], [[], []]])
def test_documents_without_tokens_give_no_rows(tmp_path, documents):
    loader = Loader(write_documents(tmp_path / "empty.arrow", documents), 4, pack_tokens=PACKING)
    assert (list(loader), len(loader), loader.rows) == ([], 0, 0)


def test_only_documents_that_a_predicate_wants_are_packed_of_each_dataset_of_a_mixture(tmp_path):
    for name, numbers in (("a", range(300)), ("b", range(301, 601))):
        batch = pa.record_batch(
            {
                "id": pa.array(numbers, pa.int64()),
                "tokens": pa.array([document(number) for number in numbers], pa.list_(pa.int32())),
            }
        )
        with pa.ipc.new_file(tmp_path / f"{name}.arrow", batch.schema) as writer:
            writer.write_batch(batch)
    mixture = {tmp_path / "a.arrow": 1.0, tmp_path / "b.arrow": 1.0}
    where = [[("id", ">=", 100), ("id", "<", 200)], [("id", ">=", 350), ("id", "<", 450)]]
    wanted = counted(piece for number in (*range(100, 200), *range(350, 450)) for piece in cut(document(number)))
    found = counted(pieces_of(Loader(mixture, 16, where=where, pack_tokens=PACKING)))
    assert found.keys() <= wanted.keys()
    assert {piece[0] // 10_000 for piece in found} == {1, 3, 4}  # hundreds of documents, of both datasets
