"""Refs against a model: writers that look, wait and swap in any order, and readers between them."""

import secrets
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from resources.errors import ConflictError, ObjectMissing
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.folder import FolderStore
from resources.storage.object_store import ObjectStore
from resources.storage.store import Store

ASSETS = (("bike", "raw"), ("bike", "features"), ("bike",))
PARTITIONS = (None, "2011-01", "2011 02/é")
REGISTRIES = ("main", "back test")
places = st.tuples(st.sampled_from(REGISTRIES), st.sampled_from(ASSETS), st.sampled_from(PARTITIONS))
Place = tuple[str, tuple[str, ...], str | None]


def ref(number: int) -> DatasetRef:
    return DatasetRef(digest=f"{number:064x}", location="x", schema_fingerprint="f", rows=number, size_bytes=0)


class LateStore:
    """A store for one writer: what it looked up stays as it was while others write."""

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._key = key
        try:
            self._seen = store.get_tagged(key)
        except ObjectMissing as error:
            self._seen = error
        self.swapped = False

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        if key != self._key:
            return self._store.get_tagged(key)
        if isinstance(self._seen, ObjectMissing):
            raise self._seen
        return self._seen

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        self.swapped = True
        return self._store.swap(key, data, tag=tag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class RefsMachine(RuleBasedStateMachine):
    writers = Bundle("writers")
    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Place, DatasetRef] = {}
        self.store = self.open()

    def open(self) -> Store:
        raise NotImplementedError

    @rule(place=places, number=st.integers(0, 5))
    def save(self, place: Place, number: int) -> None:
        refs.save(self.store, *place, ref(number))
        self.model[place] = ref(number)

    @rule(target=writers, place=places)
    def look(self, place: Place) -> tuple[Place, LateStore, DatasetRef | None]:
        key = refs._key(*place)  # pyright: ignore[reportPrivateUsage]
        return place, LateStore(self.store, key), self.model.get(place)

    @rule(writer=consumes(writers), number=st.integers(0, 5))
    def save_late(self, writer: tuple[Place, LateStore, DatasetRef | None], number: int) -> None:
        place, late, seen = writer
        now = self.model.get(place)
        try:
            refs.save(late, *place, ref(number))
        except ConflictError:
            assert now not in (seen, ref(number))
            return
        if late.swapped and seen == now:
            self.model[place] = ref(number)
        elif late.swapped:
            assert now == ref(number)  # somebody else had written the very same
        else:
            assert seen == ref(number)  # nothing to write, as far as this writer saw

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        names = [refs.RefName(registry, asset, partition) for registry, asset, partition in self.model]
        assert refs.listed(self.store) == sorted(names, key=lambda it: (it.registry, it.asset, it.partition or ""))
        for place, expected in self.model.items():
            assert refs.load(self.store, *place) == expected


class FolderMachine(RefsMachine):
    def open(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return FolderStore(Path(self.folder.name))

    def teardown(self) -> None:
        self.folder.cleanup()


class MemoryMachine(RefsMachine):
    def open(self) -> Store:
        return ObjectStore(f"memory://{secrets.token_hex(8)}", cache=Path("unused"))


@pytest.mark.parametrize("machine", [FolderMachine, MemoryMachine])
def test_refs_behave_like_a_dictionary_whose_writers_notice_each_other(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=20, deadline=None))
