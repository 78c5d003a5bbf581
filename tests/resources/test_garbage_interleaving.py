"""Writers and collectors of one store take their steps in every order: no committed version ever loses a part."""

import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import ConflictError, ObjectMissing, StoreError
from resources.refs import ModelRef
from resources.storage import refs
from resources.storage.garbage import guard, leases, roots, sweep, walk
from resources.storage.garbage.collect import collect
from resources.storage.garbage.leases import leased
from resources.storage.garbage.pins import pin
from resources.storage.garbage.walk import own_keys
from resources.storage.memo import recall, remember
from resources.storage.store import Store, open_store
from resources.storage.versions import version
from resources.training.bundle import bundle_digest, write_bundle
from tests.resources.interleaving import Actor, Killed, interleave

NOW = datetime(2026, 11, 25, tzinfo=UTC)
REFS = ("a", "b")
GRACE_S = 60.0
EXAMPLES = int(os.environ.get("PENSTOCK_TEST_INTERLEAVINGS", "100"))
ACTS = ("write", "drop", "gc", "gc now", "pin", "read")


@pytest.fixture(autouse=True)
def one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with one thread, wait without sleeping, and let every thread be a process of its own."""
    for module in (walk, roots, guard, sweep):
        monkeypatch.setattr(module, "READERS", 1)
    monkeypatch.setattr(guard, "PAUSE_S", 0.0)
    monkeypatch.setattr(guard, "WAIT_S", 0.01)
    for module in (sweep, leases):
        monkeypatch.setattr(module, "this_process", lambda: threading.current_thread().name)


def files_of(number: int) -> dict[str, bytes]:
    """Return the files of a version: one of its own, and one that others have as well."""
    return {"own": f"own {number}".encode(), "shared": f"shared {number % 2}".encode()}


class World:
    """A store, who acts on it, and what was promised to last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = open_store(f"memory://{secrets.token_hex(8)}", cache=Path("/nonexistent"))
        self.lasting: dict[str, str] = {}
        self.pinned: set[str] = set()
        self.leased: dict[str, str] = {}
        self.actors: list[Actor] = []
        self.time = NOW
        for module in (sweep, leases):
            monkeypatch.setattr(module, "is_dead", self.is_dead)

    def is_dead(self, name: str, **_: object) -> bool:
        """Return whether an actor has ended."""
        return any(one.name == name and one.ended for one in self.actors)

    def act(self, kind: str, number: int) -> None:
        """Add an actor."""
        name, may_fail = f"{len(self.actors)} {kind} {number}", kind.startswith("gc")
        self.actors.append(Actor(name, self.store, self.work(kind, number), may_fail=may_fail))

    def alone(self, kind: str, number: int) -> None:
        """Do the work of an actor at once, while nobody else acts."""
        self.work(kind, number)(self.store)
        self.check()

    def work(self, kind: str, number: int) -> Callable[[Store], None]:
        """Return what an actor does."""
        works: dict[str, Callable[[Store], None]] = {
            "write": lambda store: self.write(store, number),
            "drop": lambda store: self.drop(store, REFS[number % 2]),
            "gc": lambda store: self.gc(store, grace_s=GRACE_S),
            "gc now": lambda store: self.gc(store, grace_s=0.0),
            "pin": lambda store: self.pin(store, number),
            "read": lambda store: self.read(store, number),
        }
        return works[kind]

    def write(self, store: Store, number: int) -> None:
        """Make version `number` as a stage does: recalled, or written and remembered, then saved as a ref."""
        recipe, place = f"{number:064d}", REFS[number % 2]
        for _ in range(5):
            try:
                if recall(store, recipe) is None:
                    digest = write_bundle(store, files_of(number))
                    remember(store, recipe, {"requires": [digest]})
                self.lasting.pop(place, None)
                refs.save(store, "main", (place,), None, reference(store, number))
            except ConflictError:
                continue
            self.lasting[place] = bundle_digest(files_of(number))
            self.check()
            return

    def drop(self, store: Store, place: str) -> None:
        """Forget a ref."""
        self.lasting.pop(place, None)
        store.delete(f"refs/main/{place}/_.json")

    def gc(self, store: Store, *, grace_s: float) -> None:
        """Collect, a little more than the grace period after whoever collected before.

        It is not so long after that the other counts as silent: that a living one finds out by its own clock.
        """
        self.time += timedelta(seconds=GRACE_S + 1)
        try:
            collect(store, grace_s=grace_s, now=self.time)
        except ConflictError:
            return
        except StoreError:
            for _ in range(5):  # it lives on for a while
                with suppress(StoreError):
                    store.exists("refs")

    def pin(self, store: Store, number: int) -> None:
        """Pin a version if it is there."""
        digest = bundle_digest(files_of(number))
        try:
            pin(store, digest, name=str(number))
        except (ConflictError, ObjectMissing):
            return
        self.pinned.add(digest)
        self.check()

    def read(self, store: Store, number: int) -> None:
        """Read what a ref names under a lease, as a stage does."""
        try:
            ref = refs.load(store, "main", (REFS[number % 2],), None)
            with leased(store, [ref.digest], job="reading"):
                whole = all(store.exists(key) for key in own_keys(version(store, ref.digest)))
                name = threading.current_thread().name
                if whole:
                    self.leased[name] = ref.digest
                store.exists("refs")
                self.leased.pop(name, None)
        except ObjectMissing:
            return

    def check(self) -> None:
        """Fail unless everything that was promised to last is whole."""
        current = {name: digest for name, digest in self.lasting.items() if self.named(name) == digest}
        held = {one.name: self.leased[one.name] for one in self.actors if one.name in self.leased and not one.ended}
        for name, digest in [*current.items(), *(("pin", digest) for digest in self.pinned), *held.items()]:
            assert is_whole(self.store, digest), f"{name} names {digest[:12]}, which has lost a part"

    def named(self, place: str) -> str | None:
        """Return what a ref names."""
        try:
            return refs.load(self.store, "main", (place,), None).digest
        except ObjectMissing:
            return None


def reference(store: Store, number: int) -> ModelRef:
    """Return what a stage hands over."""
    return ModelRef(
        digest=bundle_digest(files_of(number)), location=store.url, trainer="none", training_digests={},
        code_version="", parameters={}, seed=number,
    )  # fmt: skip


def is_whole(store: Store, digest: str) -> bool:
    """Return whether the version and its files are there."""
    try:
        return all(store.exists(key) for key in own_keys(version(store, digest)))
    except ObjectMissing:
        return False


acts = st.tuples(st.sampled_from(ACTS), st.integers(0, 3))
until = st.sampled_from(["one", "swap", "swap", "delete", "create", "get_tagged", "list", "end", "kill", "fail"])
schedules = st.lists(st.tuples(st.integers(0, 4), until), max_size=20)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 3),
    marked=st.booleans(),
    before=st.lists(acts, max_size=3),
    beside=st.lists(acts, max_size=3),
    collector=st.sampled_from(["gc", "gc now"]),
    schedule=schedules,
)
def test_in_every_order_of_steps_no_committed_version_loses_a_part(
    monkeypatch, number, marked, before, beside, collector, schedule
):
    world = World(monkeypatch)
    garbage = [("write", number), ("drop", number), ("gc", 0)] if marked else []
    for act in [*before, *garbage]:
        world.alone(*act)
    for act in [("write", number), (collector, 0), *beside]:
        world.act(*act)
    interleave(world.actors, schedule, world.check)

    for actor in world.actors:
        assert actor.error is None or (actor.killed and isinstance(actor.error, Killed)), repr(actor.error)
    world.alone("gc now", 0)  # a collector that was killed is finished by the next
    for again in range(4):
        world.alone("write", again)
    assert set(world.lasting) == set(REFS)
    world.alone("gc now", 0)
    kept = {
        key for digest in (*world.lasting.values(), *world.pinned) for key in own_keys(version(world.store, digest))
    }
    assert {key for folder in ("objects", "files") for key in world.store.list(folder)} == kept


def test_a_writer_finds_out_that_its_version_went_between_its_look_and_its_ref(monkeypatch):
    world = World(monkeypatch)
    world.act("write", 0)
    (writer,) = world.actors
    while writer.next != "swap":
        writer.step()
    world.alone("gc now", 0)
    assert world.store.list("objects") == []
    interleave(world.actors, [], world.check)

    assert writer.error is None
    assert world.lasting == {"a": bundle_digest(files_of(0))}  # it has written it again
    world.check()
