"""What one's own store lacks is read through from a base, which nothing ever writes to."""

import secrets
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.canonical import digest_value
from resources.errors import ConflictError, IntegrityError, ObjectMissing, StoreError
from resources.refs import DatasetRef, ModelRef
from resources.registry import Registry
from resources.signing import Keyring, Signer
from resources.storage import refs
from resources.storage.content import describe_bytes
from resources.storage.datasets import read_frame, write_table
from resources.storage.files import file_path, get_bytes, put_bytes, put_file
from resources.storage.folder import FolderStore
from resources.storage.layered import LayeredStore, holder, own_layer
from resources.storage.memo import recall, remember
from resources.storage.object_store import ObjectStore
from resources.storage.objects import get_object, put_object
from resources.storage.provenance import Parent, Provenance, ancestors, record
from resources.storage.read_only import ReadOnlyStore
from resources.storage.store import Store, open_store

FRAME = pl.DataFrame({"n": range(10)})
ASSET = ("bike", "raw")


@pytest.fixture(params=["folder", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    name = secrets.token_hex(4)
    url = str(tmp_path / f"base-{name}") if request.param == "folder" else f"memory://base-{name}"
    return open_store(url, cache=tmp_path / "cache", cache_bytes=2**26)


@pytest.fixture(params=["folder", "memory"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    name = secrets.token_hex(4)
    url = str(tmp_path / f"own-{name}") if request.param == "folder" else f"memory://own-{name}"
    return open_store(url, cache=tmp_path / "cache", cache_bytes=2**26)


@pytest.fixture
def store(own: Store, base: Store) -> LayeredStore:
    return LayeredStore(own, base)


def content(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("")}


def dataset(store: Store, frame: pl.DataFrame, scratch: Path) -> DatasetRef:
    return write_table(store, frame, scratch=scratch)


WRITES = {
    "create": lambda store, file: store.create("x/b", b"new"),
    "create again": lambda store, file: store.create("x/a", b"new"),
    "put": lambda store, file: store.put("x/a", b"new"),
    "swap": lambda store, file: store.swap("x/a", b"new", tag=store.get_tagged("x/a")[1]),
    "swap none": lambda store, file: store.swap("x/b", b"new", tag=None),
    "upload": lambda store, file: store.upload("x/b", file),
    "delete": lambda store, file: store.delete("x/a"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_read_only_store_refuses_every_write_and_names_what_may_be_written(base, tmp_path, write):
    base.put("x/a", b"old")
    (tmp_path / "file").write_bytes(b"new")

    with pytest.raises(StoreError, match=r"cannot \w+ x/[ab] in store .*: it is a base store.*PENSTOCK_BASE_STORE"):
        WRITES[write](ReadOnlyStore(base), tmp_path / "file")

    assert content(base) == {"x/a": b"old"}


@pytest.mark.parametrize("write", WRITES)
def test_no_write_to_both_layers_reaches_the_base(store, own, base, tmp_path, write):
    base.put("x/a", b"old")
    (tmp_path / "file").write_bytes(b"new")

    WRITES[write](store, tmp_path / "file")

    assert content(base) == {"x/a": b"old"}


def test_a_store_has_every_way_to_write_that_the_tests_of_the_base_try():
    reads = {"url", "get", "get_range", "get_tagged", "exists", "size_bytes", "list", "sizes", "stamps", "folders"}
    reads |= {"has_copies", "local", "open_local", "landed", "release_local", "forget_local"}
    methods = {name for name in vars(Store) if not name.startswith("_")}
    assert methods - reads == {name.partition(" ")[0] for name in WRITES}
    assert methods <= set(dir(ReadOnlyStore))


def test_content_of_the_base_is_read_and_not_stored_again(store, own, base, tmp_path):
    ref = dataset(base, FRAME, tmp_path)

    assert read_frame(store, ref.digest).equals(FRAME)
    assert dataset(store, FRAME, tmp_path).digest == ref.digest
    assert own.list("") == []


def test_new_content_goes_to_the_own_store(store, own, base, tmp_path):
    dataset(base, FRAME, tmp_path)
    before = content(base)

    ref = dataset(store, FRAME.reverse(), tmp_path)

    assert ref.location == own.url
    assert read_frame(own, ref.digest).equals(FRAME.reverse())
    assert content(base) == before


def test_a_large_file_of_the_base_is_read_with_its_tree(store, own, base, tmp_path):
    (tmp_path / "large").write_bytes(data := secrets.token_bytes(5 * 2**20))
    file = put_file(base, tmp_path / "large")

    assert put_file(store, tmp_path / "large") == file
    assert file_path(store, file).read_bytes() == data
    store.release_local(file)
    store.release_local(file)  # once too often harms nothing
    assert store.get_range(file.key, 3, 9) == data[3:9]
    assert own.list("") == []


def test_what_neither_has_is_missed_in_both(store, own, base):
    for read in (store.get, store.get_tagged, store.size_bytes):
        with pytest.raises(ObjectMissing) as caught:
            read("x/none")
        assert own.url in str(caught.value)
        assert base.url in str(caught.value)
    with pytest.raises(ObjectMissing, match="PENSTOCK_BASE_STORE"):
        store.local(describe_bytes(b"none")[0])


def test_an_altered_object_of_the_base_is_told_to_be_there(store, own, tmp_path):
    base = FolderStore(tmp_path / "production")
    store = LayeredStore(own, base)
    digest, file = put_object(base, b"{}"), put_bytes(base, b"bytes")
    base.put(f"objects/{digest[:2]}/{digest}", b"[]")
    base.local(file).unlink()
    base.put(file.key, b"a lie")

    with pytest.raises(IntegrityError, match=f"in store {base.url} was altered"):
        get_object(store, digest)
    for read in (get_bytes, file_path):
        with pytest.raises(IntegrityError, match=f"in store {base.url} was altered"):
            read(store, file)
    assert holder(store, "x/none").url == own.url


def test_a_ref_of_the_base_is_hidden_by_the_own_one_and_only_by_that(store, own, base, tmp_path):
    theirs, mine = dataset(base, FRAME, tmp_path), dataset(store, FRAME.reverse(), tmp_path)
    refs.save(base, "main", ASSET, "2011-01", theirs)
    refs.save(base, "main", ASSET, "2011-02", theirs)
    before = content(base)

    refs.save(store, "main", ASSET, "2011-01", mine)
    refs.save(store, "main", ASSET, "2011-03", mine)

    found = {key: refs.load(store, "main", ASSET, key) for key in refs.partitions(store, "main", ASSET)}
    assert found == {"2011-01": mine, "2011-02": theirs, "2011-03": mine}
    assert content(base) == before
    assert own.list("refs") == ["refs/main/bike/raw/p2011-01.json", "refs/main/bike/raw/p2011-03.json"]


def test_the_same_value_as_in_the_base_is_no_value_of_ones_own(store, own, base, tmp_path):
    refs.save(base, "main", ASSET, None, dataset(base, FRAME, tmp_path))

    refs.save(store, "main", ASSET, None, refs.load(store, "main", ASSET, None))

    assert own.list("") == []


def test_a_deleted_ref_shows_that_of_the_base_again(store, base):
    base.put("refs/a", b"theirs")
    _, tag = store.get_tagged("refs/a")
    store.swap("refs/a", b"mine", tag=tag)

    store.delete("refs/a")
    store.delete("refs/a")

    assert store.get("refs/a") == b"theirs"


def test_a_tag_from_the_base_is_worth_one_swap(store, base):
    base.put("refs/a", b"theirs")
    _, tag = store.get_tagged("refs/a")

    assert not store.swap("refs/a", b"lost", tag=None)
    assert store.swap("refs/a", b"mine", tag=tag)
    assert not store.swap("refs/a", b"lost", tag=tag)
    assert store.swap("refs/a", b"mine too", tag=store.get_tagged("refs/a")[1])
    assert (store.get("refs/a"), base.get("refs/a")) == (b"mine too", b"theirs")


def test_a_ref_that_moved_in_the_base_meanwhile_is_not_replaced(store, own, base):
    base.put("refs/a", b"old")
    _, tag = store.get_tagged("refs/a")
    base.put("refs/a", b"new")

    assert not store.swap("refs/a", b"mine", tag=tag)
    assert own.list("") == []
    base.delete("refs/a")
    assert not store.swap("refs/a", b"mine", tag=tag)


def test_the_base_remembers_what_was_made_before(store, own, base):
    digest = put_object(base, b"{}")
    remember(base, "a" * 64, {"requires": [digest]})

    assert recall(store, "a" * 64) == {"requires": [digest]}
    remember(store, "b" * 64, {"requires": [digest]})
    assert recall(store, "b" * 64) == {"requires": [digest]}
    assert recall(base, "b" * 64) is None


@pytest.mark.parametrize("key", ["gc/plan.json", "leases/a.json", "pins/a.json"])
def test_how_the_base_is_kept_clean_does_not_show_through(store, base, key):
    base.put(key, b"theirs")

    assert not store.exists(key)
    assert store.list("") == store.list(key.split("/")[0]) == []
    with pytest.raises(ObjectMissing):
        store.get(key)
    assert store.swap(key, b"mine", tag=None)
    assert store.swap(key, b"mine", tag=store.get_tagged(key)[1])
    assert (store.get(key), base.get(key)) == (b"mine", b"theirs")


def test_lineage_goes_through_both_layers(store, own, base):
    raw, features = "a" * 64, "b" * 64
    record(base, Provenance(subject=raw, kind="dataset", pipeline="bike", stage="raw"))
    parent = Parent(kind="dataset", name="bike/raw", digest=raw)
    record(store, Provenance(subject=features, kind="dataset", pipeline="bike", stage="features", parents=(parent,)))

    tree = ancestors(store, features)

    assert [tree.title, *(child.title for child in tree.children)] == ["bike/features", "bike/raw"]


def test_both_layers_share_the_hosts_cache(own, tmp_path):
    base, cache = f"memory://{secrets.token_hex(4)}", tmp_path / "cache"
    theirs = ObjectStore(base, cache=cache)
    file = put_bytes(theirs, b"bytes")
    mine = ObjectStore(f"memory://{secrets.token_hex(4)}", cache=cache)
    store = LayeredStore(mine, ObjectStore(base, cache=cache))

    first, second = store.local(file), store.local(file)

    assert first == second
    assert mine.cache.stats().hits == 1  # found by its digest, whichever store was asked
    store.release_local(file)
    store.release_local(file)
    assert store.forget_local(file)


SIGNER, THEIRS = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
RING = Keyring({signer.key_id: signer._key.public_key().public_bytes_raw() for signer in (SIGNER, THEIRS)})
LOG = "registry/main/bike"


def model(name: str) -> ModelRef:
    return ModelRef(
        digest=digest_value(name), location="x", trainer="t", training_digests={}, code_version="1", parameters={},
        seed=0,
    )  # fmt: skip


def registry(store: Store, signer: Signer = SIGNER, keyring: Keyring = RING) -> Registry:
    return Registry(store, name="main", pipeline="bike", signer=signer, keyring=keyring)


def promote(log: Registry, *names: str) -> None:
    for name in names:
        log.promote(model(name), partition="p", report="f" * 64, expected_head=log.head(), reason="")


def champions(log: Registry) -> list[str]:
    names = {model(name).digest: name for name in "ABCDEFX"}
    return [names[entry.model.digest] for entry in log.entries()]


def test_the_bases_log_is_read_until_the_first_own_entry_forks_it(store, own, base):
    theirs, mine = registry(base, THEIRS), registry(store)
    promote(theirs, "A", "B")
    assert champions(mine) == ["A", "B"]
    promote(theirs, "C")
    assert champions(mine) == ["A", "B", "C"]
    assert own.list("") == []

    promote(mine, "X")
    promote(theirs, "D")

    assert champions(mine) == ["A", "B", "C", "X"]
    assert champions(theirs) == ["A", "B", "C", "D"]
    assert champions(registry(own)) == ["A", "B", "C", "X"]  # whole, without the base
    mine.rollback(to=None, reason="no")
    assert champions(mine)[-1] == "C"


def test_every_way_to_read_a_forked_log_agrees(store, own, base):
    promote(registry(base, THEIRS), "A", "B")
    promote(registry(store), "X")
    promote(registry(base, THEIRS), "C", "D")
    last = f"{LOG}/00000004.json"

    assert store.list("") == store.list("registry") == store.list(LOG) == own.list(LOG)
    assert not store.exists(last)
    for read in (store.get, store.get_tagged, store.size_bytes):
        with pytest.raises(ObjectMissing):
            read(last)
    assert store.get(f"{LOG}/00000003.json") == own.get(f"{LOG}/00000003.json")


def test_an_own_log_without_one_in_the_base_stays_ones_own(store, base):
    promote(registry(store), "A")
    promote(registry(base, THEIRS), "B", "C")

    assert champions(registry(store)) == ["A"]


def test_a_log_of_another_pipeline_is_still_the_bases(store, base):
    other = Registry(base, name="main", pipeline="flights", signer=THEIRS, keyring=RING)
    promote(registry(base, THEIRS), "A")
    promote(other, "B")
    promote(registry(store), "X")

    assert champions(Registry(store, name="main", pipeline="flights", signer=SIGNER, keyring=RING)) == ["B"]
    assert len(store.list("registry")) == 3


@pytest.mark.parametrize("copied", [1, 2])
def test_a_fork_that_was_killed_has_not_begun(store, own, base, copied):
    promote(registry(base, THEIRS), "A", "B", "C")
    for key in list(reversed(base.list(LOG)))[:copied]:
        own.create(key, base.get(key))

    promote(registry(base, THEIRS), "D")
    assert champions(registry(store)) == ["A", "B", "C", "D"]
    promote(registry(store), "X")
    assert champions(registry(own)) == ["A", "B", "C", "D", "X"]


def test_what_a_killed_fork_of_another_base_left_is_named(store, own, base, tmp_path):
    another = FolderStore(tmp_path / "another")
    promote(registry(another, THEIRS), "B", "C")
    own.create(f"{LOG}/00000002.json", another.get(f"{LOG}/00000002.json"))
    promote(registry(base, THEIRS), "A", "B")

    with pytest.raises(ConflictError, match=f"{LOG}/00000002.json .* is left of another base, delete {LOG}"):
        promote(registry(store), "X")
    assert champions(registry(base)) == ["A", "B"]


class ForkedBefore(LayeredStore):
    """Layers in which another process forks the log, and adds to it, right before this one does."""

    other: Callable[[], None]

    def fork_log(self, folder: str) -> None:
        self.other()
        super().fork_log(folder)


class ForkedMeanwhile(FolderStore):
    """A layer in which another process does so while this one copies entries."""

    other: Callable[[], None] | None = None

    def create(self, key: str, data: bytes) -> bool:
        if self.other is not None:
            act, self.other = self.other, None
            act()
        return super().create(key, data)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_of_two_that_fork_a_log_at_different_entries_one_is_told(base, tmp_path, when):
    own, older = ForkedMeanwhile(tmp_path / "own"), FolderStore(tmp_path / "as the base was")
    promote(registry(base, THEIRS), "A")
    for key in base.list(LOG):
        older.create(key, base.get(key))
    promote(registry(base, THEIRS), "B")
    store = ForkedBefore(own, base)
    store.other = own.other = lambda: None
    (store if when == "before" else own).other = lambda: promote(
        registry(LayeredStore(FolderStore(tmp_path / "own"), older)), "X"
    )

    with pytest.raises(ConflictError, match="changed meanwhile"):
        promote(registry(store), "C")

    assert champions(registry(store)) == ["A", "X"]


def test_the_signer_of_the_base_must_be_trusted(store, base):
    promote(registry(base, THEIRS), "A")
    alone = Keyring({SIGNER.key_id: RING.keys[SIGNER.key_id]})

    with pytest.raises(IntegrityError, match=rf"in store {base.url}.*`penstock key`.*PENSTOCK_TRUSTED_KEYS"):
        registry(store, keyring=alone).entries()


def test_what_may_be_deleted_lies_in_the_own_layer(store, own):
    assert own_layer(store) is own
    assert own_layer(own) is own


KEYS = ["a", "x/a", "x/b", "refs/a", "registry/main/bike/00000001.json"]
steps = st.lists(
    st.tuples(st.sampled_from(["create", "put", "swap", "delete"]), st.sampled_from(KEYS[:-1]), st.binary(max_size=4)),
    max_size=20,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(below=st.dictionaries(st.sampled_from(KEYS), st.binary(max_size=4)), steps=steps)
def test_two_layers_behave_like_a_dictionary_over_another(tmp_path, below, steps):
    base = FolderStore(tmp_path / secrets.token_hex(4))
    for key, value in below.items():
        base.put(key, value)
    store, mine = LayeredStore(FolderStore(tmp_path / secrets.token_hex(4)), base), dict[str, bytes]()
    for operation, key, value in steps:
        seen = below | mine
        if operation == "create":
            assert store.create(key, value) == (key not in seen)
            mine |= {} if key in seen else {key: value}
        elif operation == "swap":
            assert store.swap(key, value, tag=store.get_tagged(key)[1] if key in seen else None)
            mine[key] = value
        elif operation == "put":
            store.put(key, value)
            mine[key] = value
        else:
            store.delete(key)
            mine.pop(key, None)
    assert content(store) == below | mine
    assert [store.exists(key) for key in KEYS] == [key in below | mine for key in KEYS]
    assert content(base) == below


def test_a_base_in_a_folder_that_may_not_be_written_is_enough(own, tmp_path):
    base = FolderStore(tmp_path / "base")
    ref = dataset(base, FRAME, tmp_path)
    folders = [tmp_path / "base", *(path for path in (tmp_path / "base").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        store = LayeredStore(own, base)
        refs.save(store, "main", ASSET, None, ref)
        assert read_frame(store, refs.load(store, "main", ASSET, None).digest).equals(FRAME)
    finally:
        for folder in folders:
            folder.chmod(0o755)
