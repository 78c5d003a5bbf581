"""What a look at the past of a pipeline asks the store for, and that it tells the same however it is asked."""

import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from quality.report import Section
from resources.health import BROKEN, flagged
from resources.past import Measured, measured_before
from resources.refs import DatasetRef
from resources.reports import MARKS, keep_section
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.storage.layered import LayeredStore
from resources.storage.store import Store, open_store

ASSET = ("rides", "raw")
MEAN = {"fare": "fare"}
MANY = 12


@pytest.fixture(autouse=True)
def few_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few partitions be many."""
    monkeypatch.setattr("resources.past.SPARED", MANY - 2)


class Counted:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if callable(found):
            self.asked[name] += 1
        return found


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path) -> Store:
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{secrets.token_hex(4)}"
    return open_store(url, cache=tmp_path / "cache")


def key(number: int) -> str:
    return f"2026-01-{number // 24 + 1:02}T{number % 24:02}"


def made(store: Store, number: int, tmp_path, *, fare: float = 1.0) -> DatasetRef:
    ref = write_table(store, pl.DataFrame({"fare": [fare, float(number), None]}), scratch=tmp_path)
    refs.save(store, "main", ASSET, key(number), ref)
    return ref


def looked(store: Any, *, before: int = MANY, most: int = MANY) -> Mapping[str, Measured]:
    return measured_before(store, "main", ASSET, MEAN, before=key(before), most=most)


def test_a_second_look_at_a_long_past_takes_a_few_requests(store, tmp_path):
    numbers = {key(number): made(store, number, tmp_path) for number in range(MANY)}
    first = looked(store)
    counted = Counted(store)
    second = looked(counted)
    assert first == second
    assert {name: one.dataset for name, one in second.items()} == {name: ref.digest for name, ref in numbers.items()}
    assert second[key(3)].means == {"fare": 2.0}
    assert counted.asked.total() <= 4


def test_what_was_replaced_since_is_read_again_and_nothing_else(store, tmp_path):
    for number in range(MANY):
        made(store, number, tmp_path)
    before = looked(store)
    made(store, 5, tmp_path, fare=7.0)
    made(store, MANY, tmp_path)
    counted = Counted(store)
    after = looked(counted, before=MANY + 1, most=MANY + 1)
    assert after[key(5)].means == {"fare": 6.0}
    assert {name for name in after if after[name] != before.get(name)} == {key(5), key(MANY)}
    assert counted.asked.total() < 30


def test_a_short_past_and_other_expressions_are_read_as_they_are(store, tmp_path):
    for number in range(3):
        made(store, number, tmp_path)
    assert list(looked(store, before=2)) == [key(0), key(1)]
    assert list(looked(store, most=1)) == [key(2)]
    assert measured_before(store, "main", ASSET, {}, before=key(1), most=9)[key(0)].means == {}


def kept(store: Store, number: int, check: str, verdict: Any, digest: str) -> None:
    section = Section(stage="raw", check=check, verdict=verdict, reason="", digest=digest, at="", run_id="", entries=())
    keep_section(store, "main", "rides", key(number), section)


def flags(store: Any, digests: Mapping[str, str]) -> frozenset[str]:
    return flagged(store, "main", "rides", {"raw": digests}, BROKEN)


def test_only_the_sections_of_checks_that_objected_are_read(store):
    digests = {key(number): f"d{number}" for number in range(MANY)}
    for number in range(MANY):
        for check in ("contract", "expectations"):
            objects = (number, check) in ((3, "contract"), (4, "expectations"))
            kept(store, number, check, "block" if objects else "pass", f"d{number}")
    kept(store, 5, "contract", "warn", "d5")
    kept(store, 6, "contract", "block", "another version")
    assert flags(store, digests) == {key(3), key(4)}
    counted = Counted(store)
    assert flags(counted, digests) == {key(3), key(4)}
    assert counted.asked["get"] == 4
    assert counted.asked.total() <= 12


def test_a_check_that_passes_when_it_runs_again_flags_no_longer(store):
    kept(store, 1, "contract", "block", "d")
    kept(store, 1, "contract", "pass", "d")
    kept(store, 2, "contract", "pass", "d")
    kept(store, 2, "contract", "block", "d")
    assert flags(store, {key(1): "d", key(2): "d"}) == {key(2)}


def test_sections_from_before_there_were_marks_are_found_once(store):
    for number in range(4):
        kept(store, number, "contract", "block" if number == 2 else "pass", "d")
    for mark in store.list(MARKS):
        store.delete(mark)
    digests = {key(number): "d" for number in range(4)}
    assert flags(store, digests) == {key(2)}
    counted = Counted(store)
    assert flags(counted, digests) == {key(2)}
    assert counted.asked["get"] == 1


def test_the_marks_of_a_base_are_read_and_its_sections_are_not_gone_through_again(tmp_path):
    base, own = (open_store(str(tmp_path / name), cache=tmp_path / "cache") for name in ("base", "own"))
    for number in range(3):
        kept(base, number, "contract", "block" if number == 1 else "pass", "d")
    digests = {key(number): "d" for number in range(3)}
    assert flags(base, digests) == {key(1)}
    kept(own, 2, "contract", "block", "d")
    counted = Counted(base)
    assert flags(LayeredStore(own, counted), digests) == {key(1), key(2)}
    assert counted.asked["get"] == 1
