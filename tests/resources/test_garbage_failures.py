"""Collectors that fail, are damaged or stopped: nothing needed goes, and nobody is kept waiting by what they left."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.errors import ConflictError, IntegrityError, StoreError
from resources.process import this_process
from resources.refs import DatasetRef
from resources.settings import PROJECT_ROOT
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.folder import FolderStore
from resources.storage.garbage.collect import collect
from resources.storage.garbage.leases import leased
from resources.storage.garbage.pins import pin
from resources.storage.garbage.plan import KEY, _list, read_plan, swap_plan, write_list
from resources.storage.garbage.sweep import SILENCE_S
from resources.storage.garbage.walk import own_keys
from resources.storage.store import Store, open_store
from resources.storage.versions import version

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CLOSED = StoreError("the server went away")


class Failing(FolderStore):
    """A store that fails from the n-th deletion on: only those, or everything, as long as it is `broken`."""

    def __init__(self, root: Path, *, deletions: int, wholly: bool = False) -> None:
        super().__init__(root)
        self.broken = True
        self._left = deletions
        self._wholly = wholly

    def delete(self, key: str) -> None:
        """Delete, or fail."""
        self._left -= 1
        if self.broken and self._left < 0:
            raise CLOSED
        super().delete(key)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Read, or fail."""
        if self.broken and self._left < 0 and self._wholly:
            raise CLOSED
        return super().get_tagged(key)


def table(store: FolderStore, number: int) -> DatasetRef:
    """Write a dataset."""
    return write_table(store, pl.DataFrame({"number": [number]}), scratch=Path(store.url) / ".scratch")


def dataset(store: FolderStore, number: int) -> str:
    """Write a dataset that nothing names."""
    return table(store, number).digest


def files(store: Store) -> list[str]:
    """Return everything that can be garbage."""
    return [*store.list("objects"), *store.list("files")]


def collect_elsewhere(store: FolderStore) -> str:
    """Let another process collect, and return what it said, empty for success."""
    code = (
        "import sys; from pathlib import Path; from resources.storage.folder import FolderStore; "
        "from resources.storage.garbage.collect import collect; collect(FolderStore(Path(sys.argv[1])), grace_s=0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.url], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
    )
    return done.stderr


def fail(store: FolderStore) -> None:
    """Collect, which fails."""
    for number in range(3):
        dataset(store, number)
    with pytest.raises(StoreError, match="went away"):
        collect(store, grace_s=0)
    assert read_plan(FolderStore(Path(store.url))).state == "deleting"


def test_a_collector_that_fails_while_it_lives_lets_any_other_finish_at_once(tmp_path):
    store = Failing(tmp_path, deletions=2)
    fail(store)

    assert collect_elsewhere(store) == ""
    assert files(store) == []
    assert read_plan(store).state == "idle"


def test_a_collector_that_cannot_even_give_up_finishes_later_what_it_began(tmp_path):
    store = Failing(tmp_path, deletions=2, wholly=True)
    fail(store)
    assert "another process is deleting" in collect_elsewhere(store)

    store.broken = False
    collect(store, grace_s=0)

    assert files(store) == []
    assert read_plan(store).state == "idle"


def test_a_claim_whose_answer_was_lost_is_given_up_as_well(tmp_path):
    class Deaf(FolderStore):
        broken = True

        def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
            done = super().swap(key, data, tag=tag)
            if self.broken and b'"deleting"' in data and this_process().encode() in data:
                raise CLOSED
            return done

    store = Deaf(tmp_path)
    fail(store)

    assert collect_elsewhere(store) == ""
    assert files(store) == []


def left_half_done(store: Store, keys: Sequence[str] | None = None) -> None:
    """Let a collector of `keys`, or of everything, give up before its first deletion."""
    listed, before = write_list(store, files(store) if keys is None else keys), read_plan(store)
    plan = replace(before, state="deleting", listed=listed, rescued=(), collections=before.collections + 1)
    assert swap_plan(store, before, plan)


def test_who_writes_what_a_failed_collector_has_listed_finishes_its_work_first(tmp_path):
    store = FolderStore(tmp_path)
    dataset(store, 1)
    left_half_done(store)

    ref = table(store, 1)
    refs.save(store, "main", ("p", "raw"), None, ref)

    assert read_frame(store, ref.digest)["number"].to_list() == [1]
    assert read_plan(store).state == "idle"


def test_who_names_what_a_failed_collector_has_listed_is_told_at_once_that_it_is_gone(tmp_path):
    store = FolderStore(tmp_path)
    ref = table(store, 1)
    left_half_done(store)

    with pytest.raises(ConflictError, match="was deleted as garbage"):
        refs.save(store, "main", ("p", "raw"), None, ref)

    assert files(store) == []
    assert read_plan(store).state == "idle"


def test_a_collector_that_renews_its_claim_is_not_taken_over_however_wrong_its_clock_is(tmp_path, monkeypatch):
    monkeypatch.setattr("resources.storage.garbage.sweep.WATCHED_S", 0.4)
    monkeypatch.setattr("resources.storage.garbage.sweep._LOOK_S", 0.01)
    store = FolderStore(tmp_path)
    dataset(store, 1)
    plan = replace(
        read_plan(store), state="deleting", listed=write_list(store, files(store)), collections=1, owner="far - - 1 -"
    )
    assert swap_plan(store, read_plan(store), plan)
    pause = "import time; time.sleep(0.1)"
    renew = (
        "import sys; from pathlib import Path; from dataclasses import replace; "
        "from resources.storage.folder import FolderStore; "
        "from resources.storage.garbage.plan import read_plan, swap_plan; "
        "store = FolderStore(Path(sys.argv[1])); plan = read_plan(store); "
        f"print('ready', flush=True); sys.stdin.readline(); {pause}; "
        "swap_plan(store, plan, replace(plan, at_s=plan.at_s + 60))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", renew, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT_ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        other.stdin.write(b"\n")
        other.stdin.flush()
        with pytest.raises(ConflictError, match="another process is deleting"):
            collect(store, now=NOW + timedelta(seconds=2 * SILENCE_S))
    assert len(files(store)) == 2


@pytest.fixture
def memory(tmp_path: Path) -> Store:
    return open_store(f"memory://{secrets.token_hex(6)}", cache=tmp_path / "cache")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch for no time what is to be taken over."""
    monkeypatch.setattr("resources.storage.garbage.sweep.WATCHED_S", 0.0)


def flips(store: Store, key: str) -> Iterator[None]:
    """Flip bits of a value, one at a time, at places all over it, and restore the whole store in between."""
    whole = {key: store.get(key) for key in store.list("")}
    for bit in range(0, 8 * len(whole[key]), 8 * len(whole[key]) // 25):
        damaged = bytearray(whole[key])
        damaged[bit // 8] ^= 1 << bit % 8
        store.put(key, bytes(damaged))
        _list.cache_clear()
        yield
        for other in set(store.list("")) - whole.keys():
            store.delete(other)
        for other, data in whole.items():
            store.put(other, data)


@pytest.mark.parametrize("state", ["idle", "marked", "deleting"])
@pytest.mark.parametrize("what", ["plan", "list"])
def test_a_flipped_bit_in_plan_or_list_costs_no_version_and_the_next_collection_mends_it(
    memory, tmp_path, at_once, state, what
):
    def made(number: int) -> DatasetRef:
        return write_table(memory, pl.DataFrame({"number": [number]}), scratch=tmp_path / "scratch")

    made(0)
    collect(memory, grace_s=0)
    kept, rescued, _ = made(1), made(2), made(3)
    refs.save(memory, "main", ("p", "1"), None, kept)
    if state != "idle":
        collect(memory, now=NOW)
    refs.save(memory, "main", ("p", "2"), None, rescued)
    needed = {key for ref in (kept, rescued) for key in own_keys(version(memory, ref.digest))}
    if state == "deleting":
        left_half_done(memory, [key for key in files(memory) if key not in needed])

    for _ in flips(memory, read_plan(memory).listed if what == "list" and state != "idle" else KEY):
        collect(memory, grace_s=0)
        assert set(files(memory)) == needed
        assert read_plan(memory).state == "idle"


def test_a_writer_that_meets_a_damaged_list_lets_go_of_all_that_was_marked(tmp_path):
    store = FolderStore(tmp_path)
    ref = table(store, 1)
    collect(store, now=NOW)
    path = tmp_path / read_plan(store).listed
    path.write_bytes(path.read_bytes().replace(b"files", b"fires"))
    _list.cache_clear()

    refs.save(store, "main", ("p", "raw"), None, ref)

    assert read_plan(store).state == "idle"
    collect(store, grace_s=0)
    assert read_frame(store, ref.digest).height == 1


def test_a_writer_that_meets_a_damaged_plan_is_told_how_to_mend_it(tmp_path):
    store = FolderStore(tmp_path)
    ref = table(store, 1)
    collect(store, now=NOW)
    (tmp_path / KEY).write_bytes(b"{}")

    with pytest.raises(IntegrityError, match="run `penstock data gc`, which makes it anew"):
        refs.save(store, "main", ("p", "raw"), None, ref)


@pytest.mark.parametrize("what", ["pins", "leases"])
def test_a_flipped_bit_in_a_pin_or_a_lease_costs_no_version_and_is_told_with_its_remedy(memory, tmp_path, what):
    kept = write_table(memory, pl.DataFrame({"number": [1]}), scratch=tmp_path / "scratch").digest
    with leased(memory, [kept], job="p/features") if what == "leases" else nullcontext():
        if what == "pins":
            pin(memory, kept, name="p/raw")
        (key,) = memory.list(what)
        for _ in flips(memory, key):
            with pytest.raises(IntegrityError, match=rf"{key} in store .* delete"):
                collect(memory, grace_s=0)
            assert len(files(memory)) == 2
        collect(memory, grace_s=0)
        assert read_frame(memory, kept).height == 1


def test_a_clock_that_jumps_while_it_deletes_does_not_stop_a_collector(tmp_path, monkeypatch):
    import time

    store, real = FolderStore(tmp_path), time.time
    for number in range(3):
        dataset(store, number)
    calls = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: real() + (400 * 86_400.0 if next(calls) > 4 else 0.0))

    assert len(collect(store, grace_s=0).deleted) == 6
