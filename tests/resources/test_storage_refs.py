from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.folder import FolderStore

ASSET = ("bike_demand", "raw")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def ref(name: str) -> DatasetRef:
    return DatasetRef(
        digest=name * 64, location="memory://x", schema_fingerprint="f", rows=1, size_bytes=2, partitions=("2011-01",)
    )


def test_the_newest_value_of_a_partition_is_loaded(store):
    refs.save(store, "main", ASSET, "2011-01", ref("a"))
    refs.save(store, "main", ASSET, "2011-01", ref("b"))
    refs.save(store, "main", ASSET, "2011-02", ref("c"))

    assert refs.load(store, "main", ASSET, "2011-01") == ref("b")
    assert refs.partitions(store, "main", ASSET) == ["2011-01", "2011-02"]


def test_an_unpartitioned_asset_has_one_value_and_no_partitions(store):
    refs.save(store, "main", ASSET, None, ref("a"))

    assert refs.load(store, "main", ASSET, None) == ref("a")
    assert refs.partitions(store, "main", ASSET) == []


def test_registries_and_assets_are_kept_apart(store):
    refs.save(store, "main", ASSET, "2011-01", ref("a"))
    refs.save(store, "backtest", ASSET, "2011-01", ref("b"))
    refs.save(store, "main", ("bike_demand",), "2011-01", ref("c"))
    refs.save(store, "main", (*ASSET, "deeper"), "2011-03", ref("d"))

    assert refs.load(store, "main", ASSET, "2011-01") == ref("a")
    assert refs.partitions(store, "main", ASSET) == ["2011-01"]
    assert refs.partitions(store, "main", ("bike_demand",)) == ["2011-01"]


def test_what_was_never_materialized_is_named_with_the_command_that_makes_it(store):
    with pytest.raises(ObjectMissing, match=r"bike_demand/raw has no value for partition 2011-01 .*") as missing:
        refs.load(store, "main", ASSET, "2011-01")

    assert str(missing.value).endswith("materialize it: penstock run bike_demand --partition 2011-01")
    with pytest.raises(ObjectMissing, match=r"bike_demand$"):
        refs.load(store, "main", ASSET, None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "dataset"}', b'{"kind": "other"}', b'{"kind": []}'])
def test_a_damaged_value_is_named(store, content):
    refs.save(store, "main", ASSET, "2011-01", ref("a"))
    store.put(store.list("refs")[0], content)

    with pytest.raises(IntegrityError, match=r"refs/main/bike_demand/raw/.* is damaged: .*materialize the asset again"):
        refs.load(store, "main", ASSET, "2011-01")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(keys=st.sets(names, min_size=1, max_size=5))
def test_any_text_may_be_a_partition_key(store, keys):
    for key in keys:
        refs.save(store, "main", ASSET, key, ref("a"))

    assert set(refs.partitions(store, "main", ASSET)) >= keys
    assert all(refs.load(store, "main", ASSET, key) == ref("a") for key in keys)


def test_a_ref_with_one_digit_changed_is_damaged(store):
    refs.save(store, "main", ASSET, None, ref("a"))
    (key,) = store.list("refs")
    store.put(key, store.get(key).replace(b'"rows":1,', b'"rows":3,'))

    with pytest.raises(IntegrityError, match="is damaged: its bytes do not have the digest that they carry"):
        refs.load(store, "main", ASSET, None)
