"""A collector that is frozen by SIGSTOP amid its deletions and thaws after another took over deletes nothing more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from resources.settings import PROJECT_ROOT
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.folder import FolderStore
from resources.storage.garbage import sweep
from resources.storage.garbage.plan import read_plan

pytestmark = pytest.mark.slow

NUMBERS = range(4)
VALID_S = 0.3
_COLLECTOR = """
import sys, time
from pathlib import Path
from resources.storage.folder import FolderStore
from resources.storage.garbage import sweep
from resources.storage.garbage.collect import collect

sweep.READERS, sweep.VALID_S, sweep._RENEWAL_S = 1, {valid_s}, {valid_s} / 2

class Slow(FolderStore):
    deleted = 0

    def delete(self, key):
        super().delete(key)
        self.deleted += 1
        if self.deleted == 3:
            print("frozen", flush=True)
            time.sleep(0.2)  # the signal comes here, between two deletions

collect(Slow(Path(sys.argv[1])), grace_s=0)
"""


def write(store: FolderStore, number: int, *, named: bool) -> None:
    """Write a dataset, and a ref if it is to be named."""
    ref = write_table(store, pl.DataFrame({"number": [number]}), scratch=Path(store.url) / ".scratch")
    if named:
        refs.save(store, "main", ("p", "raw"), f"{number}", ref)


@contextmanager
def frozen(store: FolderStore) -> Generator["subprocess.Popen[str]"]:
    """Yield a collector of the store that has deleted three files and was stopped then."""
    command = [sys.executable, "-c", _COLLECTOR.format(valid_s=VALID_S), store.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "frozen\n"
        one.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(one.pid, os.WUNTRACED)[1])
        time.sleep(1.5 * VALID_S)  # until it may not delete by its claim any more
        try:
            yield one
        finally:
            one.send_signal(signal.SIGCONT)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    for number in NUMBERS:
        write(store, number, named=False)
    return store


def test_a_collector_that_thaws_after_another_took_over_deletes_nothing_that_was_written_anew(store, monkeypatch):
    monkeypatch.setattr(sweep, "WATCHED_S", 2 * VALID_S)
    with frozen(store) as collector:
        sweep.finish(store, now_s=time.time() + sweep.SILENCE_S)
        assert store.list("files") == []
        for number in NUMBERS:
            write(store, number, named=True)
        collector.send_signal(signal.SIGCONT)
        _, said = collector.communicate(timeout=60)

    assert "ConflictError: another process is deleting garbage" in said
    for number in NUMBERS:
        ref = refs.load(store, "main", ("p", "raw"), f"{number}")
        assert read_frame(store, ref.digest)["number"].to_list() == [number]


def test_a_collector_that_thaws_before_another_took_over_renews_its_claim_and_goes_on(store):
    with frozen(store) as collector:
        assert store.list("files")
        collector.send_signal(signal.SIGCONT)
        _, said = collector.communicate(timeout=60)

    assert said == ""
    assert store.list("files") == store.list("objects") == []
    assert read_plan(store).state == "idle"
