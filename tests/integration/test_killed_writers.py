"""Kill -9 at any time: committed versions stay readable, nothing half-written is ever visible, and work goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from resources.settings import PROJECT_ROOT
from resources.storage.data_key import make_user_key
from tests.integration.crashing import check, commit, workspace_of

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-W", "error", "-m", "tests.integration.crashing"]


def kill_after(home: Path, wait_s: float) -> list[int]:
    """Let a writer commit one version, kill it `wait_s` later, and return the versions that it had committed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    with subprocess.Popen(
        [*COMMAND, str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
        env=environment,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        first = writer.stdout.readline()
        assert first, writer.stderr.read()
        time.sleep(wait_s)
        writer.kill()
        rest = writer.stdout.read()
    assert writer.returncode == -signal.SIGKILL
    return [int(line) for line in (first + rest).split()]


def test_a_writer_killed_at_random_times_loses_no_version_and_shows_no_half(tmp_path):
    chance = random.Random(20110101)
    for _ in range(6):
        committed = kill_after(tmp_path, chance.uniform(0, 0.2))

        check(workspace_of(tmp_path), committed[-1])

    workspace = workspace_of(tmp_path)
    commit(workspace, 10_000)
    check(workspace, committed[-1] + 1)


def test_a_writer_killed_after_any_file_operation_loses_no_version_and_shows_no_half(tmp_path):
    memory = Path("/dev/shm")  # a killed process leaves the same behind there, without the many flushes of a disk
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as home:
        done = subprocess.run(
            [*COMMAND, home, "operations"], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
        )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30  # three shards, manifest, provenance, ref, entry and key: some four operations each


def test_a_writer_to_s3_killed_at_random_times_loses_no_version_and_shows_no_half(tmp_path, s3_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE", s3_url)
    chance = random.Random(20120101)
    for _ in range(3):
        committed = kill_after(tmp_path, chance.uniform(0, 0.3))

        check(workspace_of(tmp_path), committed[-1])


def test_a_writer_to_an_encrypted_store_killed_at_random_times_loses_no_version_and_shows_no_half(
    tmp_path, monkeypatch
):
    make_user_key(tmp_path / "key")
    monkeypatch.setenv("PENSTOCK_ENCRYPTION_KEY", str(tmp_path / "key"))
    chance = random.Random(20130101)
    for _ in range(3):
        committed = kill_after(tmp_path / "home", chance.uniform(0, 0.3))

        check(workspace_of(tmp_path / "home"), committed[-1])
