"""Locks of the cache: who waits is woken by the kernel, whether the holder gives the lock back or dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from resources.errors import StoreError
from resources.settings import PROJECT_ROOT
from resources.storage.cache.locks import locked
from tests.resources.remotes import until

HOLDING = """
import sys
from pathlib import Path
from resources.storage.cache.locks import locked
with locked(Path(sys.argv[1]), patience_s=60):
    print("held", flush=True)
    sys.stdin.readline()
"""
TAKING = """
import os, sys, time
from pathlib import Path
from resources.storage.cache.locks import locked
log = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
print("begun", flush=True)
with locked(Path(sys.argv[1]), patience_s=60):
    os.write(log, b"<")
    time.sleep(0.01)
    os.write(log, b">")
"""


@contextmanager
def process(code: str, *arguments: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run code that says with a line that it is so far; it is killed at the end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT) as run:
        try:
            assert run.stdout is not None
            run.stdout.readline()
            yield run
        finally:
            run.kill()


@pytest.mark.parametrize("is_killed", [True, False])
def test_those_who_wait_hold_the_lock_one_after_another_once_it_is_free(tmp_path, is_killed):
    lock, log = tmp_path / "lock", tmp_path / "log"
    with process(HOLDING, lock) as holder:
        waiting = [
            subprocess.Popen(
                [sys.executable, "-c", TAKING, str(lock), str(log)], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
            )
            for _ in range(6)
        ]
        for run in waiting:
            assert run.stdout is not None
            run.stdout.readline()
        if is_killed:
            holder.kill()
        else:
            holder.communicate("go\n", timeout=30)
        for run in waiting:
            run.communicate(timeout=30)

    assert [run.returncode for run in waiting] == [0] * 6
    assert log.read_text() == "<>" * 6


def test_one_who_waits_and_is_stopped_holds_up_nobody(tmp_path):
    lock, log = tmp_path / "lock", tmp_path / "log"
    with process(HOLDING, lock) as holder, process(TAKING, lock, log) as stopped:
        until(lambda: _waits_in_the_kernel(stopped.pid))
        os.kill(stopped.pid, signal.SIGSTOP)
        holder.communicate("go\n", timeout=30)
        with locked(lock, patience_s=30) as mine:
            assert mine


def test_a_wait_lasts_as_long_as_the_holder_gets_on(tmp_path):
    numbers, giving_up = count(), threading.Event()
    with ThreadPoolExecutor(1) as pool, locked(tmp_path / "lock", patience_s=1):

        def wait() -> None:
            with locked(tmp_path / "lock", patience_s=0.2, progress=lambda: 0 if giving_up.is_set() else next(numbers)):
                pass

        waiting = pool.submit(wait)
        until(lambda: next(numbers) > 40)  # some looks of ours among theirs
        assert not waiting.done()
        giving_up.set()
        with pytest.raises(StoreError, match=rf"process {os.getpid()} has held .*lock for 0.2 s without progress"):
            waiting.result(30)


def _waits_in_the_kernel(process_id: int) -> bool:
    """Return whether a thread of the process waits for a lock: others who wait stand in /proc/locks behind an arrow."""
    return any(
        line.split()[1] == "->" and line.split()[5] == str(process_id)
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()
    )
