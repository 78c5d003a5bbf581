"""Hot, warm, cold: what goes into the archive, what comes back, and what goes for good."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing
from resources.refs import DatasetRef
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.garbage.collect import collect
from resources.storage.lifecycle.archive import archived, recall_version
from resources.storage.lifecycle.cycle import Cycle, lifecycle, retaining
from resources.storage.lifecycle.policy import Aged, Policy, tiers
from resources.storage.objects import has_object
from resources.storage.provenance import Provenance, record
from resources.storage.store import Store, open_store
from resources.storage.uses import fold, last_uses, note
from resources.workspace import Workspace, open_workspace

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICY = Policy(hot_days=7, archive_after_days=30, delete_after_days=365, keep_last=0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))


@pytest.fixture
def archive(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "archive"), cache=tmp_path / "cache")


def made(workspace: Workspace, number: int, *, days_ago: int) -> DatasetRef:
    """Write a dataset, and record that it was made so long ago."""
    ref = write_table(workspace.store, pl.DataFrame({"number": [number]}), scratch=workspace.scratch)
    at = (NOW - timedelta(days=days_ago)).isoformat()
    record(
        workspace.store,
        Provenance(subject=ref.digest, kind="dataset", pipeline="p", stage="raw", partition=str(number), created_at=at),
    )
    return ref


def turned(store: Store, archive: Store | None, *, days: int = 0, policy: Policy = POLICY) -> Cycle:
    """Run one round and delete what it let go of."""
    return lifecycle(store, archive, policy, now=NOW + timedelta(days=days), grace_s=0)


def test_what_is_cold_goes_into_the_archive_and_comes_back_verified(workspace, archive):
    store = workspace.store
    old, young = made(workspace, 1, days_ago=40), made(workspace, 2, days_ago=10)

    done = turned(store, archive)

    assert [item.digest for item in done.moved] == [old.digest]
    assert dict(done.tiers) == {old.digest: "cold", young.digest: "warm"}
    assert read_frame(store, young.digest).height == read_frame(archive, old.digest).height == 1
    assert len(store.list("files")) == 1
    with pytest.raises(ObjectMissing, match=f"penstock data recall {old.digest[:12]}"):
        read_frame(store, old.digest)

    recall_version(store, archive, old.digest)
    assert read_frame(store, old.digest)["number"].to_list() == [1]
    assert archived(store) == {}
    assert turned(store, archive, days=1).moved == ()  # it was used just now
    assert read_frame(store, old.digest).height == 1


def test_what_something_needs_stays_however_old_it_is(workspace, archive):
    needed = made(workspace, 1, days_ago=400)
    refs.save(workspace.store, "main", ("p", "raw"), None, needed)

    assert turned(workspace.store, archive).moved == ()
    assert read_frame(workspace.store, needed.digest).height == 1


def test_what_was_read_lately_stays(workspace, archive):
    read = made(workspace, 1, days_ago=40)
    note(workspace.store, [read.digest], NOW - timedelta(days=3))

    assert dict(turned(workspace.store, archive).tiers) == {read.digest: "hot"}
    assert read_frame(workspace.store, read.digest).height == 1


def test_what_has_expired_goes_for_good_from_both_stores(workspace, archive):
    store = workspace.store
    old = made(workspace, 1, days_ago=40)
    turned(store, archive)

    done = turned(store, archive, days=325)

    assert [item.digest for item in done.forgotten] == [old.digest]
    assert archive.list("files") == archive.list("objects") == store.list("files") == []
    assert archived(store) == {}


def test_without_an_archive_versions_stay_until_they_expire(workspace):
    store = workspace.store
    old, older = made(workspace, 1, days_ago=40), made(workspace, 2, days_ago=365)

    done = turned(store, None)

    assert done.moved == ()
    assert read_frame(store, old.digest).height == 1
    assert not has_object(store, older.digest)


def test_garbage_collection_leaves_to_the_life_cycle_what_is_not_archived_yet(workspace):
    store = workspace.store
    old = made(workspace, 1, days_ago=40)
    write_table(store, pl.DataFrame({"number": [2]}), scratch=workspace.scratch)  # nobody recorded it

    collect(store, now=NOW, grace_s=0, retained=retaining(store, POLICY, NOW))

    assert read_frame(store, old.digest).height == 1
    assert len(store.list("objects")) == 1


def test_a_damaged_file_is_neither_archived_nor_deleted(workspace, archive):
    store = workspace.store
    made(workspace, 1, days_ago=40)
    (key,) = store.list("files")
    path = Path(store.url) / key
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)

    with pytest.raises(IntegrityError):
        turned(store, archive)
    assert archived(store) == {}
    assert store.list("files") == [key]


def test_what_was_lost_in_the_archive_is_not_taken_for_archived(workspace, archive):
    old = made(workspace, 1, days_ago=40)
    turned(workspace.store, archive)
    archive.delete(archive.list("files")[0])

    with pytest.raises(ObjectMissing):
        recall_version(workspace.store, archive, old.digest)
    assert old.digest in archived(workspace.store)


def test_days_of_use_are_folded_without_losing_any(workspace):
    store = workspace.store
    for days, digests in ((3, "ab"), (2, "b"), (2, "b"), (0, "c")):
        note(store, digests, NOW - timedelta(days=days))
    expected = {"a": date(2026, 11, 22), "b": date(2026, 11, 23), "c": date(2026, 11, 25)}
    assert last_uses(store) == expected
    assert len(store.list("uses")) == 3

    fold(store, NOW.date())

    assert last_uses(store) == expected
    assert len(store.list("uses")) == 2


@given(st.integers(0, 500), st.booleans(), st.integers(0, 2))
def test_a_tier_is_a_matter_of_age_and_need_alone(age_days, needed, keep_last):
    item = Aged(
        digest="a", kind="dataset", name="p/raw", made="2026-01-01",
        last_used=NOW.date() - timedelta(days=age_days), needed=needed, size_bytes=1,
    )  # fmt: skip
    older = replace(item, digest="b", made="2025-01-01", needed=False)
    found = tiers([item, older], replace(POLICY, keep_last=keep_last), NOW.date())

    by_age = "hot" if age_days <= 7 else "warm" if age_days < 30 else "cold" if age_days < 365 else "expired"
    held = {"a": needed or keep_last >= 1, "b": keep_last >= 2}
    assert found == {name: "warm" if held[name] and by_age in ("cold", "expired") else by_age for name in held}


def test_days_that_do_not_grow_are_refused():
    with pytest.raises(ValueError, match="must grow"):
        Policy(hot_days=10, archive_after_days=5)
