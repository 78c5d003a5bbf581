"""One cache, many processes, a real S3 server: one download, right bytes, and never more than the budget."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from resources.settings import PROJECT_ROOT
from resources.storage.cache.download import RANGE_CHUNKS
from resources.storage.cache.locks import locked
from resources.storage.content import CHUNK_BYTES, StoredFile
from resources.storage.files import file_path, put_bytes
from resources.storage.object_store import ObjectStore
from tests.integration.instance import BIN
from tests.resources.remotes import bytes_on_disk, flip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MB = 10**6
BUDGET = 100 * MB
RANGE_BYTES = RANGE_CHUNKS * CHUNK_BYTES


@pytest.fixture
def store(s3_url: str, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3_url, cache=tmp_path / "cache", cache_bytes=BUDGET)


def start(what: str, store: ObjectStore, *arguments: StoredFile | int, budget: int = BUDGET) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.integration.reading", what, store.url, str(store.cache.root), str(budget)]
    return subprocess.Popen(
        [*command, *map(named, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    )


def named(argument: StoredFile | int) -> str:
    if isinstance(argument, int):
        return str(argument)
    return f"{argument.digest}:{argument.md5}:{argument.size_bytes}"


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def test_of_eight_processes_that_want_one_cold_object_one_fetches_it(store):
    file = put_bytes(store, secrets.token_bytes(40 * MB))

    answers = [told(process) for process in [start("once", store, file) for _ in range(8)]]

    assert {answer["found"] for answer in answers} == {file.digest}
    assert sum(answer["misses"] for answer in answers) == 1
    assert sum(answer["fetched_bytes"] for answer in answers) == 40 * MB


@pytest.mark.parametrize("ranges", [0, 1, 3, 6])
def test_after_a_kill_the_next_reader_resumes_and_gets_the_right_bytes(store, ranges):
    size = 70 * MB
    file = put_bytes(store, secrets.token_bytes(size))
    killed_mid_way = kill_after(store, file, ranges)
    assert [path for path in (store.cache.root / "objects").rglob("*") if path.is_file()] == [] or not killed_mid_way

    answer = told(start("once", store, file))

    assert answer["found"] == file.digest
    assert answer["held_bytes"] == bytes_on_disk(store.cache.root) == size
    if killed_mid_way and ranges:
        finished = (ranges - 1) * RANGE_BYTES + size % RANGE_BYTES  # the last range, a short one, may be among them
        assert answer["fetched_bytes"] <= size - finished


def kill_after(store: ObjectStore, file: StoredFile, ranges: int) -> bool:
    """Kill a reader once it has finished some ranges; return whether it had not yet published."""
    process = start("once", store, file)
    assert process.stdout is not None
    process.stdout.readline()
    journal = store.cache.root / "parts" / f"{file.digest}.journal"
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and journal.read_bytes().count(1) >= ranges:
            break
    process.kill()
    process.communicate()
    return journal.exists()


def test_a_bit_that_flips_in_the_part_of_a_killed_reader_is_never_served(store):
    file = put_bytes(store, secrets.token_bytes(70 * MB))
    assert kill_after(store, file, 2)
    (part,) = (store.cache.root / "parts").glob(f"{file.digest}.{70 * MB}")
    flip(part, 5)

    assert told(start("once", store, file))["found"] == file.digest


def test_a_bit_that_flips_in_the_cached_file_is_never_served_to_another_process(store):
    file = put_bytes(store, secrets.token_bytes(MB))
    flip(file_path(store, file), 1000)

    answer = told(start("once", store, file))

    assert answer["found"] == file.digest
    assert answer["misses"] == 1


def test_what_another_process_has_mapped_stays_right_after_eviction(store):
    first, second = (put_bytes(store, secrets.token_bytes(60 * MB)) for _ in range(2))
    reader = start("mapped", store, first)
    assert reader.stdout is not None
    assert json.loads(reader.stdout.readline())["found"] == first.digest

    file_path(store, second)

    assert store.cache.stats().evictions == 1
    output, _ = reader.communicate("\n", timeout=60)
    assert json.loads(output)["found"] == f"{first.digest} False"


def test_processes_that_need_more_than_the_budget_never_exceed_it(store):
    files = [put_bytes(store, secrets.token_bytes(MB + number)) for number in range(8)]
    budget = 4 * MB + 50
    readers = [start("many", store, seed, *files, budget=budget) for seed in range(3)]
    seen = 0
    while any(reader.poll() is None for reader in readers):
        if (store.cache.root / "parts").exists():
            with locked(store.cache.root / "index.lock", patience_s=10):
                seen = max(seen, bytes_on_disk(store.cache.root))
        time.sleep(0.01)

    answers = [told(reader) for reader in readers]
    assert {answer["found"] for answer in answers} == {"right"}
    assert sum(answer["evictions"] for answer in answers) > 8
    assert 3 * MB < seen <= budget


def test_the_numbers_of_all_processes_of_a_host_are_told_by_one_command(store):
    file = put_bytes(store, secrets.token_bytes(MB))
    for _ in range(2):
        told(start("once", store, file))

    done = subprocess.run(
        [str(BIN / "penstock"), "data", "stats", "--json"],
        env={**os.environ, "PENSTOCK_CACHE": str(store.cache.root)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    found = json.loads(done.stdout)
    assert (found["misses"], found["hits"], found["fetched_bytes"], found["held_bytes"]) == (1, 1, MB, MB)
