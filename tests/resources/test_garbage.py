"""What is garbage and what is not, and when it goes."""

import secrets
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.canonical import canonical_json
from resources.errors import ConflictError, IntegrityError, ObjectMissing
from resources.process import is_dead, this_process
from resources.refs import DatasetRef, GateReport, ModelRef
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.garbage.collect import collect, foresee
from resources.storage.garbage.explain import explain
from resources.storage.garbage.leases import FOLDER, TERM, leased, leases
from resources.storage.garbage.pins import pin, pins, unpin
from resources.storage.garbage.plan import read_plan, swap_plan, write_list
from resources.storage.garbage.sweep import SILENCE_S, finish
from resources.storage.memo import recall, remember
from resources.storage.objects import has_object, put_object
from resources.storage.provenance import Parent, Provenance, record
from resources.storage.store import Store, open_store
from resources.storage.values import seal
from resources.training.bundle import read_bundle, write_bundle
from resources.workspace import Workspace, open_workspace

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))


@pytest.fixture
def store(workspace: Workspace) -> Store:
    return workspace.store


def dataset(workspace: Workspace, number: int, **beside: str) -> DatasetRef:
    return write_table(workspace.store, pl.DataFrame({"number": [number]}), scratch=workspace.scratch, **beside)


def model(workspace: Workspace, training: dict[str, str], *, lineage: bool = True) -> ModelRef:
    named = {"features": training, "raw": {}} if lineage else {}
    files = {"lineage.json": canonical_json(named), "model.txt": canonical_json(training)}
    return ModelRef(
        digest=write_bundle(workspace.store, files), location=workspace.store.url, trainer="none",
        training_digests=training, code_version="", parameters={}, seed=0,
    )  # fmt: skip


def collected(store: Store) -> None:
    """Mark, and delete a day later."""
    collect(store, now=NOW)
    collect(store, now=NOW + DAY)


def test_what_nothing_names_goes_and_what_a_ref_names_stays(workspace, store):
    beside = {f"{name}_digest": put_object(store, canonical_json(name)) for name in ("profile", "report")}
    old, new = dataset(workspace, 1), dataset(workspace, 2, **beside)
    for ref in (old, new):
        refs.save(store, "main", ("p", "raw"), None, ref)

    collected(store)

    assert read_frame(store, new.digest)["number"].to_list() == [2]
    assert all(has_object(store, digest) for digest in beside.values())
    with pytest.raises(ObjectMissing):
        read_frame(store, old.digest)
    assert len(store.list("objects")) == 3
    assert len(store.list("files")) == 1


def test_refs_of_every_registry_count(workspace, store):
    kept = dataset(workspace, 1)
    refs.save(store, "backtest-x", ("p", "raw"), "2011-01", kept)

    collected(store)

    assert read_frame(store, kept.digest).height == 1


def test_a_model_keeps_what_it_was_made_from_up_to_the_raw_data(workspace, store):
    raw, features, other = (dataset(workspace, number) for number in (1, 2, 3))
    made = Parent(kind="dataset", name="raw", digest=raw.digest)
    record(store, Provenance(subject=features.digest, kind="dataset", pipeline="p", stage="features", parents=(made,)))
    trained = model(workspace, {"2011-01": features.digest})
    refs.save(store, "main", ("p", "model"), None, trained)

    collected(store)

    read_bundle(store, trained.digest)
    assert read_frame(store, features.digest).height == read_frame(store, raw.digest).height == 1
    assert not has_object(store, other.digest)


def test_every_model_that_was_ever_champion_stays_with_its_report(workspace, store):
    report = put_object(store, b'"report"')
    first, second = (model(workspace, {"": dataset(workspace, number).digest}) for number in (1, 2))
    registry = workspace.registry("p")
    for item in (first, second):
        registry.promote(item, partition="", report=report, expected_head=None, reason="")

    collected(store)

    for item in (first, second):
        read_bundle(store, item.digest)
        read_frame(store, item.training_digests[""])
    assert has_object(store, report)


def test_a_report_keeps_what_it_judged(workspace, store):
    raw = dataset(workspace, 1)
    challenger = model(workspace, {}).digest
    report = GateReport(
        pipeline="p", partition="", verdict="pass", reasons=("good",), challenger=challenger, champion=None,
        inputs={"raw": raw.digest, "challenger": challenger}, gate={}, measurements={},
    )  # fmt: skip
    refs.save(store, "main", ("p", "evaluation"), None, report)

    collected(store)

    read_bundle(store, challenger)
    read_frame(store, raw.digest)


def test_a_pin_keeps_a_version_until_it_is_removed(workspace, store):
    kept = dataset(workspace, 1)
    pin(store, kept.digest, name="p/raw", reason="for the auditors")

    collected(store)
    assert [(item.digest, item.reason) for item in pins(store)] == [(kept.digest, "for the auditors")]
    assert read_frame(store, kept.digest).height == 1

    unpin(store, kept.digest)
    collected(store)
    assert not has_object(store, kept.digest)
    with pytest.raises(ObjectMissing, match="not pinned"):
        unpin(store, kept.digest)
    with pytest.raises(ObjectMissing):
        pin(store, kept.digest, name="gone")


def test_a_running_job_keeps_what_it_reads(workspace, store):
    read = dataset(workspace, 1)
    with leased(store, [read.digest], job="p/features"):
        collected(store)
        assert read_frame(store, read.digest).height == 1

    assert leases(store) == {}
    collected(store)
    assert not has_object(store, read.digest)


def test_the_lease_of_a_dead_process_ends_with_it_and_that_of_another_machine_with_its_term(workspace, store):
    code = "from resources.process import this_process; print(this_process())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here, far = dataset(workspace, 1), dataset(workspace, 2)
    for name, ref, process in (("here", here, dead), ("far", far, "far - - 1 -")):
        with leased(store, [ref.digest], job=name):
            (key,) = [key for key in store.list(FOLDER) if "kept" not in key]
            lease = replace(leases(store)[key], process=process, expires=(NOW + TERM).isoformat())
        value = {name: getattr(lease, name) for name in lease.__dataclass_fields__}
        store.create(f"{FOLDER}/kept-{name}.json", seal(value))

    collected(store)
    assert not has_object(store, here.digest)
    assert read_frame(store, far.digest).height == 1

    collect(store, now=NOW + TERM)
    collect(store, now=NOW + TERM + DAY)
    assert not has_object(store, far.digest)
    assert store.list(FOLDER) == []


def test_a_process_of_another_boot_is_not_taken_for_dead_since_its_machine_may_be_another_of_the_same_name():
    host, _, *rest = this_process().split(" ")
    elsewhere = " ".join([host, "another-boot", *rest])

    assert is_dead(elsewhere)
    assert not is_dead(elsewhere, unique_host=False)


def test_garbage_stays_for_the_grace_period(workspace, store):
    gone = dataset(workspace, 1)
    marked = collect(store, now=NOW)
    early = collect(store, now=NOW + DAY - timedelta(seconds=1))

    assert marked.due == early.due == NOW + DAY
    assert (marked.deleted, early.deleted) == ({}, {})
    assert set(marked.marked) == {key for folder in ("objects", "files") for key in store.list(folder)}
    assert read_frame(store, gone.digest).height == 1
    assert collect(store, now=NOW + DAY).deleted == marked.marked
    assert read_plan(store).state == "idle"


def test_no_grace_marks_and_deletes_in_one_run(workspace, store):
    gone = dataset(workspace, 1)

    assert len(collect(store, grace_s=0).deleted) == 2
    assert not has_object(store, gone.digest)


def test_what_is_written_again_meanwhile_is_kept(workspace, store):
    dataset(workspace, 1)
    collect(store, now=NOW)
    again = dataset(workspace, 1)
    assert read_plan(store).rescued
    refs.save(store, "main", ("p", "raw"), None, again)

    collect(store, now=NOW + DAY)

    assert read_frame(store, again.digest).height == 1


def test_a_ref_to_what_was_deleted_is_refused(workspace, store):
    gone = dataset(workspace, 1)
    collected(store)

    with pytest.raises(ConflictError, match="run again"):
        refs.save(store, "main", ("p", "raw"), None, gone)
    assert refs.listed(store) == []


def test_a_writer_waits_for_what_is_being_deleted_and_then_gives_up(workspace, store, monkeypatch):
    monkeypatch.setattr("resources.storage.garbage.guard.WAIT_S", 0.01)
    monkeypatch.setattr("resources.storage.garbage.guard.PAUSE_S", 0.001)
    kept = dataset(workspace, 1)
    listed = write_list(store, store.list("files"))
    plan = replace(read_plan(store), state="deleting", listed=listed, owner="far - - 1 -", collections=1)
    assert swap_plan(store, read_plan(store), plan)

    with pytest.raises(ConflictError, match="being deleted by process far"):
        refs.save(store, "main", ("p", "raw"), None, kept)


def test_only_after_a_long_silence_does_a_collector_finish_the_work_of_another_that_may_live(
    workspace, store, monkeypatch
):
    monkeypatch.setattr("resources.storage.garbage.sweep.WATCHED_S", 0.05)
    dataset(workspace, 1)
    listed = write_list(store, [*store.list("objects"), *store.list("files")])
    plan = replace(
        read_plan(store), state="deleting", listed=listed, owner="far - - 1 -", collections=1, at_s=NOW.timestamp()
    )
    assert swap_plan(store, read_plan(store), plan)

    with pytest.raises(ConflictError, match="another process is deleting"):
        collect(store, now=NOW + timedelta(seconds=SILENCE_S - 1))
    assert store.list("files")

    finish(store, now_s=NOW.timestamp() + SILENCE_S)
    assert store.list("files") == store.list("objects") == []
    assert store.list("gc") == ["gc/plan.json"]


def test_a_plan_that_was_marked_by_a_clock_ahead_is_marked_anew(workspace, store):
    dataset(workspace, 1)
    collect(store, now=NOW + 3_650 * DAY)

    assert collect(store, now=NOW).due == NOW + DAY


def test_nothing_is_deleted_while_it_cannot_be_told_what_a_ref_names(workspace, store):
    kept = dataset(workspace, 1)
    store.put("refs/main/p/raw/_.json", b"{}")

    with pytest.raises(IntegrityError, match="refs/main/p/raw"):
        collect(store, grace_s=0)
    assert read_frame(store, kept.digest).height == 1


def test_a_memo_goes_with_its_version_and_keeps_what_belongs_to_one_that_stays(workspace, store):
    profile = put_object(store, b'"profile"')
    kept, gone = dataset(workspace, 1), dataset(workspace, 2)
    refs.save(store, "main", ("p", "raw"), None, kept)
    for recipe, digests in (("a" * 64, [kept.digest, profile]), ("b" * 64, [gone.digest])):
        remember(store, recipe, {"requires": digests})

    collected(store)

    assert recall(store, "a" * 64) is not None
    assert len(store.list("memo")) == 1
    assert has_object(store, profile)


def test_a_version_whose_file_was_lost_is_not_recalled_once_there_was_a_collection(workspace, store):
    made = dataset(workspace, 1)
    remember(store, "a" * 64, {"requires": [made.digest]})
    refs.save(store, "main", ("p", "raw"), None, made)
    dataset(workspace, 2)
    collected(store)
    store.delete(store.list("files")[0])

    assert recall(store, "a" * 64) is None


def test_a_dry_run_tells_why_and_changes_nothing(workspace, store):
    old, new = dataset(workspace, 1), dataset(workspace, 2)
    for ref in (old, new):
        record(store, Provenance(subject=ref.digest, kind="dataset", pipeline="p", stage="raw", partition="2011-01"))
        refs.save(store, "main", ("p", "raw"), "2011-01", ref)
    store.put("files/md5/00/stray", b"stray")
    before = store.list("")

    seen = foresee(store, now=NOW)
    told = explain(store, seen.there, seen.dead, seen.alive)

    (dead,) = told.dead
    assert (dead.digest, dead.name, dead.why) == (
        old.digest,
        "p/raw 2011-01",
        f"replaced: p/raw 2011-01 is {new.digest[:12]} now",
    )
    assert dead.size_bytes == sum(size for key, size in seen.dead.items() if "stray" not in key)
    assert (told.loose, told.loose_bytes) == (1, 5)
    (by_ref,) = [item for item in told.kept if item.kind == "ref"]
    assert (by_ref.versions, by_ref.names) == (1, ("p/raw@2011-01 in registry main",))
    assert by_ref.size_bytes + sum(seen.dead.values()) == sum(seen.there.values())
    assert store.list("") == before


def test_it_works_the_same_on_an_object_store(workspace, tmp_path):
    store = open_store(f"memory://{secrets.token_hex(6)}", cache=tmp_path / "cache")
    remote = replace(workspace, store=store)
    gone, kept = dataset(remote, 1), dataset(remote, 2)
    refs.save(store, "main", ("p", "raw"), None, kept)

    collected(store)

    assert read_frame(store, kept.digest).height == 1
    assert not has_object(store, gone.digest)
