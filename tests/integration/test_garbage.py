"""Collectors that are killed at every file operation, and garbage in a real S3 store."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from resources.errors import StoreError
from resources.settings import PROJECT_ROOT
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.garbage.collect import collect
from resources.storage.garbage.multipart import abort, orphans
from resources.storage.garbage.plan import read_plan
from resources.storage.objects import has_object
from resources.storage.store import open_store
from tests.integration.seaweed import BUCKET

pytestmark = pytest.mark.slow


def test_a_collector_killed_after_any_file_operation_loses_nothing_and_is_finished_by_the_next(tmp_path):
    memory = Path("/dev/shm")  # a killed process leaves the same behind there, without the many flushes of a disk
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as home:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.integration.collecting", home],
            capture_output=True,
            text=True,
            cwd=PROJECT_ROOT,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20  # list, claim, a memo, a manifest, three shards, the end, two lists


def test_garbage_of_an_s3_store_is_rescued_or_deleted(tmp_path, s3_url):
    store = open_store(s3_url, cache=tmp_path / "cache")
    gone, kept, again = (
        write_table(store, pl.DataFrame({"number": [number]}), scratch=tmp_path / "scratch") for number in range(3)
    )
    refs.save(store, "main", ("p", "raw"), None, kept)
    now = datetime.now(UTC)
    collect(store, now=now)
    refs.save(store, "main", ("p", "again"), None, again)
    assert read_plan(store).rescued

    done = collect(store, now=now + timedelta(days=1))

    assert len(done.deleted) == 2
    assert not has_object(store, gone.digest)
    assert read_frame(store, kept.digest)["number"].to_list() == [1]
    assert read_frame(store, again.digest)["number"].to_list() == [2]


def test_orphaned_uploads_below_the_store_are_found_and_aborted(tmp_path, s3_url, monkeypatch):
    import s3fs

    server, prefix = s3fs.S3FileSystem(), s3_url.rpartition("/")[2]
    for key in (f"{prefix}/files/md5/aa/bb", f"{prefix}-other/files/md5/aa/cc"):
        begun = server.call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)
        server.call_s3(
            "upload_part", Bucket=BUCKET, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * 5 * 2**20
        )

    assert orphans(s3_url) == []
    (found,) = orphans(s3_url, now=datetime.now(UTC) + timedelta(days=1, seconds=5))
    assert found.key == f"{prefix}/files/md5/aa/bb"
    abort(s3_url, found)

    assert orphans(s3_url, older_than_s=-5) == []
    assert orphans(str(tmp_path)) == []
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret that is wrong")
    with pytest.raises(StoreError, match="cannot list multipart uploads") as error:
        orphans(s3_url)
    assert "wrong" not in str(error.value)
