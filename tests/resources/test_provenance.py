import secrets
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.canonical import digest_value
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.objects import put_object
from resources.storage.provenance import (
    Node,
    Parent,
    Provenance,
    ancestors,
    descendants,
    record,
    records_of,
    resolve,
)
from resources.storage.store import Store

FILE, RAW, FEATURES, MODEL, REPORT = (digest_value(name) for name in ("file", "raw", "features", "model", "report"))
URL = "https://host/hour.csv"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def made(subject: str, stage: str, *parents: Parent, kind="dataset", partition="2011-01", **fields) -> Provenance:
    return Provenance(
        subject=subject, kind=kind, pipeline="bike", stage=stage, partition=partition, parents=parents, **fields
    )


@pytest.fixture
def history(store: FolderStore) -> FolderStore:
    """Return a store in which a file became raw, features and a model, and the model was judged."""
    raw, features = Parent(kind="dataset", name="raw", digest=RAW), Parent(kind="dataset", name="f", digest=FEATURES)
    record(store, made(RAW, "raw", Parent(kind="source", name=URL, digest=FILE)))
    record(store, made(FEATURES, "features", raw))
    record(store, made(MODEL, "model", features, kind="model"))
    judged = (raw, features, Parent(kind="model", name="model", digest=MODEL))
    record(store, made(REPORT, "evaluation", *judged, kind="report", partition="2011-02"))
    return store


def path(node: Node) -> list[tuple[str, str]]:
    return [(node.kind, node.title), *(path(node.children[0]) if node.children else [])]


def test_a_model_is_walked_up_to_the_raw_file(history):
    assert path(ancestors(history, MODEL)) == [
        ("model", "bike/model 2011-01"),
        ("dataset", "bike/features 2011-01"),
        ("dataset", "bike/raw 2011-01"),
        ("source", URL),
    ]


def test_a_raw_file_is_walked_down_to_all_that_was_made_from_it(history):
    down = descendants(history, FILE)

    assert (down.kind, down.title, down.digest) == ("source", URL, FILE)
    assert digests(down) == {FILE, RAW, FEATURES, MODEL, REPORT}


def digests(node: Node) -> set[str]:
    return {node.digest}.union(*(digests(child) for child in node.children))


def test_what_was_never_recorded_stands_alone(store):
    assert ancestors(store, MODEL) == Node(digest=MODEL, kind="source", title="not recorded")
    assert descendants(store, MODEL).children == ()
    assert records_of(store, MODEL) == ()


def test_a_record_reads_back_whole(store):
    parent = Parent(kind="dataset", name="features 2011-01", digest=FEATURES)
    written = made(
        MODEL, "model", parent, kind="model", code_version="1", parameters={"leaves": [1, 2.5], "seed": None},
        run_id="r", created_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip

    record(store, written)

    assert records_of(store, MODEL) == (written,)


def test_the_same_making_is_recorded_once_and_another_making_beside_it(store):
    record(store, made(MODEL, "model", kind="model", created_at="2026-01-01", run_id="first"))
    record(store, made(MODEL, "model", kind="model", created_at="2026-01-02", run_id="again"))
    record(store, made(MODEL, "model", kind="model", created_at="2026-01-03", code_version="2"))

    assert [(item.run_id, item.code_version) for item in records_of(store, MODEL)] == [("first", ""), ("", "2")]


def test_a_stage_that_changes_nothing_is_no_endless_walk(store):
    record(store, made(RAW, "raw", Parent(kind="source", name=URL, digest=FILE)))
    record(store, made(RAW, "features", Parent(kind="dataset", name="raw", digest=RAW)))

    up, down = ancestors(store, RAW), descendants(store, FILE)

    assert up.title == "bike/features 2011-01 = bike/raw 2011-01"
    assert [child.digest for child in up.children] == [FILE]
    assert path(down) == [("source", URL), ("dataset", up.title)]


def test_a_marker_without_its_record_is_ignored(history):
    for key in history.list(f"provenance/{MODEL[:2]}/{MODEL}"):
        history.delete(key)

    assert digests(descendants(history, FILE)) == {FILE, RAW, FEATURES, REPORT}


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 9).flatmap(lambda n: st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=14))
)
def test_up_and_down_walk_the_same_ways(edges):
    store: Store = ObjectStore(f"memory://{secrets.token_hex(8)}", cache=Path("/nowhere"))
    edges = {(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]}
    names = [digest_value(number) for number in range(9)]
    for number in range(9):
        parents = [Parent(kind="dataset", name="x", digest=names[a]) for a, b in sorted(edges) if b == number]
        record(store, made(names[number], str(number), *parents))

    for number in range(9):
        assert digests(ancestors(store, names[number])) == {names[item] for item in reach(edges, number, up=True)}
        assert digests(descendants(store, names[number])) == {names[item] for item in reach(edges, number, up=False)}


def reach(edges: set[tuple[int, int]], start: int, *, up: bool) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        near = {a if up else b for a, b in edges if (b if up else a) == here} - found
        found |= near
        todo += near
    return found


def test_a_lattice_of_many_ways_is_walked_once_each(store):
    layers = [[digest_value((layer, side)) for side in range(3)] for layer in range(30)]  # 3^29 ways through it
    for above, below in pairwise(layers):
        parents = [Parent(kind="dataset", name="x", digest=digest) for digest in above]
        for digest in below:
            record(store, made(digest, "x", *parents))

    node = ancestors(store, layers[-1][0])

    for _ in layers[1:]:
        node = node.children[0]
    assert node.digest in layers[0]


def test_a_damaged_record_is_named(history):
    key = history.list(f"provenance/{MODEL[:2]}/{MODEL}")[0]
    history.put(key, b'{"subject": 1}')

    with pytest.raises(IntegrityError, match=f"{key} .* is no provenance record"):
        ancestors(history, MODEL)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be one of dataset, model"):
        made(MODEL, "model", kind="thing")


@pytest.mark.parametrize("length", [6, 12, 64])
def test_a_prefix_finds_objects_subjects_and_sources(history, length):
    stored = put_object(history, b"an object without records")

    for digest in (stored, MODEL, FILE):
        assert resolve(history, digest[:length]) == digest
        assert resolve(history, f" {digest[:length].upper()} ") == digest


def test_a_prefix_of_several_digests_is_refused_with_all_of_them(store):
    for end in "01":
        record(store, made("abcdef" + end * 58, "x"))

    with pytest.raises(
        ObjectMissing, match="'abcdef' is the start of 2 digests, give more digits: abcdef000000, abcdef1"
    ):
        resolve(store, "abcdef")
    assert resolve(store, "abcdef0") == "abcdef" + "0" * 58


def test_a_prefix_of_nothing_is_refused_with_the_nearest(store):
    record(store, made("abcdef" + "0" * 58, "x"))

    with pytest.raises(ObjectMissing, match="starts with 'abcde0'; nearest: abcdef000000"):
        resolve(store, "abcde0")


@pytest.mark.parametrize("prefix", ["", "abcde", "xyzxyz", "../../", "a" * 65])
def test_what_is_no_prefix_of_a_digest_is_refused(store, prefix):
    with pytest.raises(ObjectMissing, match="is no digest: give its first 6 or more hex digits"):
        resolve(store, prefix)
