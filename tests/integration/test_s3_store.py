"""The store on a real S3 server (SeaweedFS)."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from resources.errors import ConflictError, IntegrityError, ObjectMissing, SettingsError, StoreError
from resources.refs import ModelRef
from resources.settings import PROJECT_ROOT, load_settings
from resources.storage.content import describe_bytes
from resources.storage.datasets import read_frame, write_table
from resources.storage.files import file_path, put_bytes, put_file
from resources.storage.folder import FolderStore
from resources.storage.manifest import read_manifest
from resources.storage.object_store import ObjectStore
from resources.storage.provenance import Provenance, record, records_of, resolve
from resources.storage.store import open_store
from resources.workspace import Workspace, open_workspace
from tests.integration.faults.proxy import FaultProxy, NetworkFault
from tests.integration.seaweed import BUCKET, Seaweed, run_seaweed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def store(s3_url: str, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3_url, cache=tmp_path / "cache")


def test_create_put_list_and_delete_work_as_in_a_folder(store):
    assert store.create("refs/a b/p%20é.json", b"1")
    assert not store.create("refs/a b/p%20é.json", b"2")
    store.put("refs/ab", b"3")
    store.put("refs/ab", b"4")

    assert store.get("refs/a b/p%20é.json") == b"1"
    assert store.get("refs/ab") == b"4"
    assert store.list("refs") == ["refs/a b/p%20é.json", "refs/ab"]
    assert store.list("refs/a") == []
    before = store.stamps("refs")
    store.put("refs/ab", b"5")
    assert store.stamps("refs") == before | {"refs/ab": store.get_tagged("refs/ab")[1]} != before
    assert (store.folders(""), store.folders("refs"), store.folders("refs/ab")) == (("refs",), ("a b",), ())
    store.delete("refs/ab")
    store.delete("refs/ab")
    assert store.list("") == ["refs/a b/p%20é.json"]
    with pytest.raises(ObjectMissing, match=f"no object refs/ab in store {store.url}"):
        store.get("refs/ab")


def test_a_listing_of_more_than_one_page_is_whole(store):
    keys = [f"many/{number:04d}" for number in range(1005)]  # S3 lists in pages of 1,000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))

    assert store.list("many") == keys


def test_of_many_writers_one_creates(store):
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            won = list(pool.map(lambda writer, key=f"log/{number}": store.create(key, str(writer).encode()), range(8)))

            assert won.count(True) == 1
            assert store.get(f"log/{number}") == str(won.index(True)).encode()


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(store, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(secrets.token_bytes(40 * 2**20))

    assert store.upload("objects/large", file)
    assert not store.upload("objects/large", file)

    assert file_path(store, put_file(store, file)).read_bytes() == file.read_bytes()
    assert not [path for folder in ("parts", "locks") for path in (tmp_path / "cache" / folder).iterdir()]


def test_a_dataset_has_the_same_digest_as_in_a_folder_and_reads_back(store, tmp_path):
    frame = pl.DataFrame({"n": range(1000), "s": [f"text {i}" for i in range(1000)]})

    ref = write_table(store, frame, scratch=tmp_path / "scratch", rows_per_shard=300)
    local = write_table(FolderStore(tmp_path / "folder"), frame, scratch=tmp_path / "scratch", rows_per_shard=300)

    assert ref.digest == local.digest
    assert ref.location == store.url
    assert read_frame(store, ref.digest).equals(frame)
    assert read_frame(ObjectStore(store.url, cache=tmp_path / "other host"), ref.digest).equals(frame)


def test_a_shard_altered_on_the_server_is_detected(store, tmp_path):
    ref = write_table(store, pl.DataFrame({"n": [1, 2]}), scratch=tmp_path / "scratch")
    store.put(read_manifest(store, ref.digest).shards[0].file.key, b"a lie")

    with pytest.raises(IntegrityError, match="was altered"):
        read_frame(store, ref.digest)


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"a lie")


@contextmanager
def behind(fault: NetworkFault, server: Seaweed, url: str, cache: Path) -> Iterator[ObjectStore]:
    """Yield the store as a client sees it whose requests pass a proxy."""
    with FaultProxy(server.endpoint, fault) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield ObjectStore(url, cache=cache, timeout_s=1, retries=1)


@pytest.mark.parametrize("kind", ["flip", "short"])
def test_bytes_that_are_altered_on_their_way_to_the_server_are_refused_there(store, seaweed, kind, tmp_path):
    for_good = NetworkFault(kind=kind, moment="upload", share=0, times=100)
    with (
        behind(for_good, seaweed, store.url, tmp_path) as broken,
        pytest.raises(StoreError, match="cannot create a in store s3://"),
    ):
        broken.create("a", b"1")
    assert not store.exists("a")

    with behind(replace(for_good, times=1), seaweed, store.url, tmp_path) as shaky:
        assert shaky.create("a", b"1")
    assert store.get("a") == b"1"


def test_a_wrong_clock_is_named_not_the_credentials(store, seaweed, tmp_path):
    with behind(NetworkFault(kind="skew", moment="before", times=100), seaweed, store.url, tmp_path) as late:
        for use in (late.get, late.list):
            with pytest.raises(StoreError, match="set the clock of this machine") as error:
                use("a")
            assert "AWS_" not in str(error.value)


def test_a_bucket_that_is_not_there_does_not_look_like_a_key_that_is(store, seaweed, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"1")
    with behind(NetworkFault(kind="no bucket", moment="before", times=100), seaweed, store.url, tmp_path) as nowhere:
        for use in (
            lambda: nowhere.create("a", b"1"),
            lambda: nowhere.upload("a", file),
            lambda: nowhere.swap("a", b"1", tag=None),
        ):
            with pytest.raises(StoreError, match=r"cannot create a in store s3://.* there is no such bucket; make it"):
                use()


def test_a_damaged_local_copy_is_fetched_anew(store):
    file = put_bytes(store, b"truth")
    damage(file_path(store, file))

    assert file_path(store, file).read_bytes() == b"truth"


def test_records_are_found_by_prefix(store):
    made = Provenance(subject="ab" * 32, kind="dataset", pipeline="bike", stage="raw")

    record(store, made)

    assert records_of(store, resolve(store, "ababab")) == (made,)


@pytest.fixture
def workspace(s3_url: str, tmp_path: Path) -> Callable[[], Workspace]:
    """Return a function that opens one workspace on the server, each time anew."""
    return lambda: open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_STORE": s3_url}))


def model(name: str) -> ModelRef:
    return ModelRef(
        digest=name * 64, location="", trainer="", training_digests={}, code_version="", parameters={}, seed=0
    )


def test_of_promotions_that_race_one_wins(workspace):
    registries = [workspace().registry("bike") for _ in range(4)]

    def promote(number: int) -> str:
        try:
            entry = registries[number].promote(
                model(str(number)), partition="", report="", expected_head="", reason=str(number)
            )
        except ConflictError:
            return "lost"
        return entry.reason

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(promote, range(4)))

    (entry,) = workspace().registry("bike").entries()
    assert sorted(told) == sorted([entry.reason, "lost", "lost", "lost"])


@pytest.fixture
def impatient(s3_url: str, tmp_path: Path) -> ObjectStore:
    return ObjectStore(s3_url, cache=tmp_path / "cache", timeout_s=1, retries=1)


def test_a_frozen_server_is_an_error_not_a_hang(impatient, s3_url, seaweed, tmp_path):
    patient = ObjectStore(s3_url, cache=tmp_path / "cache")
    patient.put("a", b"1")
    seaweed.freeze()
    try:
        for use in (
            impatient.get,
            impatient.exists,
            impatient.list,
            lambda _: impatient.local(describe_bytes(b"a")[0]),
        ):
            with pytest.raises(StoreError, match=r"in store s3://.*: .*check that the server is reachable"):
                use("a")
        with pytest.raises(StoreError, match="cannot create b in store s3://"):
            impatient.create("b", b"")
    finally:
        seaweed.thaw()
    assert patient.get("a") == b"1"


def test_a_dead_server_is_an_error_that_names_what_to_check(tmp_path, monkeypatch):
    running = run_seaweed(tmp_path / "server")
    for name, value in next(running).env().items():
        monkeypatch.setenv(name, value)
    ObjectStore(f"s3://{BUCKET}", cache=tmp_path).put("a", b"1")
    store = ObjectStore(f"s3://{BUCKET}", cache=tmp_path, timeout_s=1, retries=1)
    next(running, None)

    with pytest.raises(StoreError, match=r"cannot read a in store s3://.*AWS_ENDPOINT_URL") as error:
        store.get("a")
    assert not isinstance(error.value, ObjectMissing)


def uses(store: ObjectStore, file: Path) -> Iterator[Callable[[], object]]:
    file.write_bytes(b"x")
    yield lambda: store.get("a")
    yield lambda: store.exists("a")
    yield lambda: store.list("")
    yield lambda: store.create("a", b"")
    yield lambda: store.put("a", b"")
    yield lambda: store.upload("a", file)
    yield lambda: store.delete("a")
    yield lambda: store.local(describe_bytes(b"a")[0])


def test_refused_credentials_are_an_error_that_does_not_repeat_them(s3_url, seaweed: Seaweed, tmp_path, monkeypatch):
    secret = "wrong" + secrets.token_hex(16)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    store = ObjectStore(s3_url, cache=tmp_path)

    for use in uses(store, tmp_path / "file"):
        with pytest.raises(StoreError, match="check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY") as error:
            use()
        told = f"{error.value!r} {error.value.__cause__!r} {store.url}"
        assert secret not in told
        assert seaweed.secret_key not in told
        assert seaweed.access_key not in told


def test_an_endpoint_with_credentials_is_not_repeated(s3_url, seaweed: Seaweed, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ann:hunter2@127.0.0.1:9")
    store = ObjectStore(s3_url, cache=tmp_path, timeout_s=1, retries=0)

    for use in uses(store, tmp_path / "file"):
        with pytest.raises(StoreError) as error:
            use()
        assert "hunter2" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_url_with_credentials_is_refused_before_anything_is_sent(tmp_path):
    url = f"s3://ann:hunter2@{BUCKET}/p"

    for use in (lambda: open_store(url, cache=tmp_path), lambda: load_settings({"PENSTOCK_STORE": url})):
        with pytest.raises((StoreError, SettingsError)) as error:
            use()
        assert "hunter2" not in str(error.value)


def test_credentials_may_come_from_a_profile(s3_url, seaweed: Seaweed, tmp_path, monkeypatch):
    (tmp_path / "credentials").write_text(
        f"[penstock]\naws_access_key_id={seaweed.access_key}\naws_secret_access_key={seaweed.secret_key}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "penstock")

    store = ObjectStore(s3_url, cache=tmp_path)

    assert store.create("a", b"1")
    assert store.get("a") == b"1"


def test_no_credentials_at_all_is_an_error_that_names_them(s3_url, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(StoreError, match="no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        ObjectStore(s3_url, cache=tmp_path).get("a")


def test_a_full_cache_disk_is_named_not_the_server(s3_url, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = ObjectStore(s3_url, cache=tmp_path / "file" / "cache")
    stored = put_bytes(store, b"1")

    with pytest.raises(
        StoreError,
        match=rf"cannot use local file .*/file/cache.* for file {stored.digest} in store s3://.*PENSTOCK_CACHE",
    ):
        store.local(stored)


def test_fetching_a_large_object_needs_little_memory(store, tmp_path):
    file = tmp_path / "large"
    with file.open("wb") as large:
        large.truncate(160 * 2**20)
    stored = put_file(store, file)
    code = (
        "import resource, sys; from pathlib import Path; from resources.storage.object_store import ObjectStore\n"
        "from resources.storage.content import StoredFile\n"
        "store = ObjectStore(sys.argv[1], cache=Path(sys.argv[2])); store.exists('x')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"store.local({stored!r})\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, store.url, str(tmp_path / "cold")],
        capture_output=True, text=True, check=True, cwd=PROJECT_ROOT, env=dict(os.environ),
    )  # fmt: skip

    assert int(done.stdout) < 140 * 2**20  # four ranges of 16 MiB at a time, and what the client holds beside them
