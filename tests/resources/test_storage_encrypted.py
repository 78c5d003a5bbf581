"""A store that is encrypted at rest, and its cache: nothing plain on a disk, the wrong key and every damage told."""

import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import IntegrityError, ObjectMissing, SettingsError, StoreError
from resources.settings import PROJECT_ROOT
from resources.storage import refs
from resources.storage.content import describe_bytes
from resources.storage.data_key import load_user_key, make_user_key, rotate
from resources.storage.datasets import read_frame, scan, write_table
from resources.storage.encrypted import EncryptedStore, is_encrypted
from resources.storage.files import borrowed, file_path, get_bytes, put_bytes, put_file
from resources.storage.layered import LayeredStore
from resources.storage.memo import recall, remember
from resources.storage.object_store import ObjectStore
from resources.storage.provenance import Provenance, record, records_of
from resources.storage.store import ENCRYPTION, Store, open_as_it_lies, open_store
from resources.storage.verify import verify

MARK = "a text that must not be seen"
FRAME = pl.DataFrame({"n": range(5_000), "text": [MARK] * 5_000})
LARGE = secrets.token_bytes(9 * 2**20 + 7)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_user_key(tmp_path / "keys" / "user.key")
    return tmp_path / "keys" / "user.key"


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"memory://{secrets.token_hex(6)}"


@pytest.fixture
def new(url: str, key: Path, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that opens the store as another process would."""
    return lambda: open_store(
        url, cache=tmp_path / "cache", cache_bytes=2**26, encryption_key=key, scratch=tmp_path / "scratch"
    )


@pytest.fixture
def store(new: Callable[[], Store]) -> Store:
    return new()


def behind(store: Store) -> Store:
    assert isinstance(store, EncryptedStore)
    return store.behind


def at_rest(store: Store, *folders: Path) -> dict[str, bytes]:
    """Return everything that lies in the store, and every file below the folders."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    values = {key: behind(store).get(key) for key in behind(store).list("")}
    return values | {str(path): path.read_bytes() for path in files}


def flip(store: Store, key: str, where: int) -> None:
    data = bytearray(behind(store).get(key))
    data[where] ^= 1
    behind(store).delete(key)
    behind(store).put(key, bytes(data))


def test_nothing_lies_plain_in_store_or_cache(store, tmp_path):
    ref = write_table(store, FRAME, scratch=tmp_path / "scratch")
    refs.save(store, "main", ("bike", "raw"), None, ref)
    record(store, Provenance(subject=ref.digest, kind="dataset", pipeline="bike", stage=MARK))
    remember(store, "a" * 64, {"text": MARK})
    assert read_frame(store, ref.digest).equals(FRAME)
    assert refs.load(store, "main", ("bike", "raw"), None) == ref
    assert records_of(store, ref.digest)[0].stage == MARK
    assert recall(store, "a" * 64) == {"text": MARK}

    lying = at_rest(store, tmp_path / "cache", tmp_path / "scratch")

    secret = load_user_key(tmp_path / "keys" / "user.key")
    assert len(lying) > 5
    for name, data in lying.items():
        for plain in (MARK.encode(), b"PAR1", b'"kind"', ref.digest.encode(), secret, secret.hex().encode()):
            assert plain not in data, name


def test_versions_are_those_of_a_plain_store(store, tmp_path):
    plain = open_store(str(tmp_path / "plain"), cache=tmp_path / "cache")

    theirs, mine = (write_table(item, FRAME, scratch=tmp_path / "scratch") for item in (plain, store))

    assert theirs.digest == mine.digest
    assert plain.list("") == store.list("")
    assert not verify(store, mine.digest, depth="bytes").faults
    assert [store.size_bytes(item) for item in store.list("")] == [plain.size_bytes(item) for item in plain.list("")]


def test_readers_get_a_path_in_memory(store, tmp_path):
    ref = write_table(store, FRAME, scratch=tmp_path / "scratch")
    frame = scan(store, ref.digest)
    (tmp_path / "large").write_bytes(LARGE)
    file = put_file(store, tmp_path / "large")

    with borrowed(store, [file, file]) as (path, again):
        assert path == again
        assert path.read_bytes() == LARGE
        assert "memfd" in str(path.readlink())
        with pytest.raises(OSError), path.open("r+b") as opened:
            opened.write(b"x")
        held = path.open("rb")
    assert not path.exists()
    with held:
        assert held.read() == LARGE  # what is open stays readable
    assert frame.collect().equals(FRAME)


def test_pyarrow_and_other_processes_read_by_that_path(store, tmp_path):
    FRAME.write_parquet(tmp_path / "file")
    file = put_file(store, tmp_path / "file")

    with borrowed(store, [file]) as (path,):
        assert pq.read_table(path).num_rows == 5_000
        code = "import sys, polars as pl; print(pl.read_parquet(sys.argv[1]).height)"
        assert subprocess.check_output([sys.executable, "-c", code, path], text=True).strip() == "5000"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left(store, tmp_path):
    file = put_bytes(store, LARGE)
    with borrowed(store, [file]):  # the store's client opens some of its own
        pass
    before = descriptors()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: file_path(store, file), range(32)))
    assert len(set(found)) == 1
    assert descriptors() == before + 1
    for _ in found:
        store.release_local(file)
    store.release_local(file)

    assert descriptors() == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(LARGE) + 10), length=st.integers(0, 300_000))
def test_a_range_is_that_of_the_plain_bytes(store, start, length):
    store.create("files/md5/aa/bb", LARGE)

    assert bytes(store.get_range("files/md5/aa/bb", start, start + length)) == LARGE[start : start + length]


def test_an_empty_store_is_read_without_a_trace_and_begun_by_the_first_write(store, url):
    assert store.list("") == []
    assert not store.exists("a")
    store.delete("a")
    for read in (store.get, store.get_tagged, store.size_bytes, lambda item: store.get_range(item, 0, 1)):
        with pytest.raises(ObjectMissing):
            read("a")
    with pytest.raises(ObjectMissing):
        store.local(describe_bytes(b"none")[0])
    assert behind(store).list("") == []

    store.put("a", b"1")

    assert behind(store).list("") == ["a", ENCRYPTION]
    assert store.list("") == ["a"]


def test_of_many_that_begin_a_store_one_wins_and_all_read(new):
    stores = [new() for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda pair: pair[1].put(f"x/{pair[0]}", b"%d" % pair[0]), enumerate(stores)))

    assert [new().get(f"x/{number}") for number in range(16)] == [b"%d" % number for number in range(16)]


def test_racing_writers_write_the_same_bytes(store, url, key, tmp_path):
    (tmp_path / "large").write_bytes(LARGE)
    store.upload("files/md5/aa/bb", tmp_path / "large")
    first = behind(store).get("files/md5/aa/bb")
    store.delete("files/md5/aa/bb")

    store.create("files/md5/aa/bb", LARGE)

    assert behind(store).get("files/md5/aa/bb") == first


def test_the_envelope_is_out_of_reach(store):
    store.put("a", b"1")
    for use in (store.get, store.exists, store.delete, store.size_bytes, lambda item: store.put(item, b"")):
        with pytest.raises(StoreError, match="only `penstock data key` may touch it"):
            use(ENCRYPTION)
    assert store.list("") == ["a"]


def test_the_wrong_key_is_told_by_its_id(store, url, tmp_path):
    store.put("a", b"1")
    make_user_key(tmp_path / "other")
    other = open_store(url, cache=tmp_path / "cache", encryption_key=tmp_path / "other")

    for use in (
        lambda: other.get("a"),
        lambda: other.put("a", b"2"),
        lambda: other.list(""),
        lambda: other.exists("a"),
    ):
        with pytest.raises(
            StoreError, match=r"is encrypted with key [0-9a-f]{16}, but .*other holds key [0-9a-f]{16}: set"
        ):
            use()
    assert store.get("a") == b"1"


def test_an_encrypted_store_without_a_key_is_told_before_anything_is_written(store, url, tmp_path):
    store.put("a", b"1")

    with pytest.raises(StoreError, match="is encrypted: set PENSTOCK_ENCRYPTION_KEY"):
        open_store(url, cache=tmp_path / "cache").put("b", b"")
    with pytest.raises(StoreError, match="is encrypted: set PENSTOCK_ENCRYPTION_KEY"):
        open_store(url, cache=tmp_path / "cache").get("a")
    assert store.list("") == ["a"]


def test_a_plain_store_with_a_key_is_told_before_anything_is_written(url, new, tmp_path):
    plain = open_store(url, cache=tmp_path / "cache")
    plain.put("x/a", b"1")

    for use in (
        lambda: new().get("x/a"),
        lambda: new().put("x/b", b""),
        lambda: new().list(""),
        lambda: new().exists("x/a"),
    ):
        with pytest.raises(StoreError, match="holds plain values: unset PENSTOCK_ENCRYPTION_KEY"):
            use()
    assert plain.list("") == ["x/a"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda key: key.unlink(), "there is no encryption key .*penstock data key --new"),
        (lambda key: key.chmod(0o640), "can be read by others: chmod 600"),
        (lambda key: key.write_bytes(bytes(31)), "has 31 bytes, not 32"),
    ],
    ids=["missing", "readable by others", "too short"],
)
def test_a_key_that_is_none_is_told(store, key, harm, told):
    harm(key)

    for use in (lambda: store.get("a"), lambda: store.put("a", b"")):
        with pytest.raises(SettingsError, match=told):
            use()


def test_a_new_key_is_random_private_and_never_replaces_one(tmp_path):
    first, second = tmp_path / "new folder" / "first", tmp_path / "second"

    assert make_user_key(first)
    assert make_user_key(second)
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.parent.stat().st_mode & 0o777 == 0o700
    before = first.read_bytes()
    assert len(before) == 32
    assert before != second.read_bytes()
    assert not make_user_key(first)
    assert first.read_bytes() == before


def test_rotation_puts_another_key_in_place_and_rewrites_no_value(store, new, url, key, tmp_path):
    store.put("a", b"1")
    values = at_rest(store)
    make_user_key(tmp_path / "next")
    lies = open_as_it_lies(url, cache=tmp_path / "cache")

    assert rotate(lies, old=key, new=tmp_path / "next")
    assert not rotate(lies, old=key, new=tmp_path / "next")  # again changes nothing

    assert open_store(url, cache=tmp_path / "cache", encryption_key=tmp_path / "next").get("a") == b"1"
    with pytest.raises(StoreError, match="is encrypted with key"):
        new().get("a")
    with pytest.raises(StoreError, match="is encrypted with key"):
        rotate(lies, old=tmp_path / "keys" / "user.key", new=tmp_path / "keys" / "user.key")
    assert {name for name, data in at_rest(store).items() if values[name] != data} == {ENCRYPTION}


def test_what_is_not_encrypted_has_no_key_to_rotate(url, key, tmp_path):
    with pytest.raises(StoreError, match="is not encrypted"):
        rotate(open_as_it_lies(url, cache=tmp_path / "cache"), old=key, new=key)


@pytest.mark.parametrize(
    "altered",
    [lambda data: b"{}", lambda data: b"x", lambda data: data.replace(b'"format":1', b'"format":2'),
     lambda data: data.replace(data[-20:-10], b"0" * 10)],
    ids=["empty", "no JSON", "of another format", "altered key"],
)  # fmt: skip
def test_a_damaged_envelope_is_told(store, new, altered):
    store.put("a", b"1")
    behind(store).put(ENCRYPTION, altered(behind(store).get(ENCRYPTION)))

    with pytest.raises(IntegrityError, match=r"encryption\.json in store .* was altered.*from a backup"):
        new().get("a")


@pytest.mark.parametrize("where", [3, 12, 20, 40, 70, 110, 70_000, -1], ids=str)
def test_a_flipped_bit_is_an_integrity_error_however_it_is_read(store, new, where):
    file = put_bytes(store, LARGE)
    flip(store, file.key, where)
    fresh = new()

    for read in (lambda: fresh.get(file.key), lambda: get_bytes(fresh, file), lambda: file_path(fresh, file)):
        with pytest.raises(IntegrityError, match=rf"{file.key} in store"):
            read()
    with pytest.raises(IntegrityError, match="cannot be decrypted"):
        fresh.get_range(file.key, max(0, (where if where > 0 else len(LARGE)) - 200), len(LARGE))


def test_a_file_that_was_cut_is_an_integrity_error(store, new):
    file = put_bytes(store, LARGE)
    whole = behind(store).get(file.key)
    for data in (whole[:-1], whole[: len(whole) // 2], whole[:50], LARGE, b""):
        behind(store).delete(file.key)
        behind(store).put(file.key, data)
        for read in (lambda: new().get(file.key), lambda: file_path(new(), file)):
            with pytest.raises(IntegrityError):
                read()


def test_bytes_after_the_end_of_a_value_are_noticed(store):
    store.put("a", b"1")
    behind(store).put("a", behind(store).get("a") + b"x")

    with pytest.raises(IntegrityError, match="instead of"):
        store.get("a")


def test_values_that_were_exchanged_are_noticed(store):
    store.put("refs/main/bike/model/_.json", b"champion")
    store.put("refs/main/bike/other/_.json", b"challenger")
    behind(store).put("refs/main/bike/model/_.json", behind(store).get("refs/main/bike/other/_.json"))

    with pytest.raises(IntegrityError, match="not those that were written under this name"):
        store.get("refs/main/bike/model/_.json")


class Counting(ObjectStore):
    """A store that counts how often it is asked for bytes."""

    asked = 0

    def fetch(self, key: str, start: int, end: int) -> memoryview:
        self.asked += 1
        return super().fetch(key, start, end)


@pytest.fixture
def counting(key: Path, tmp_path: Path) -> Callable[[], EncryptedStore]:
    url = f"memory://{secrets.token_hex(6)}"
    return lambda: EncryptedStore(Counting(url, cache=tmp_path / "cache"), key=key, scratch=tmp_path / "scratch")


def test_what_the_host_has_is_read_without_asking_the_store(counting):
    file = put_bytes(counting(), LARGE)
    assert file_path(counting(), file).read_bytes() == LARGE
    again = counting()

    assert file_path(again, file).read_bytes() == LARGE

    assert again.behind.asked == 0


def test_a_bit_that_flipped_in_the_cache_is_fetched_again(counting, tmp_path):
    file = put_bytes(counting(), LARGE)
    file_path(counting(), file)
    (copy,) = [path for path in (tmp_path / "cache" / "objects").rglob("*") if path.is_file()]
    data = bytearray(copy.read_bytes())
    data[100_000] ^= 1
    copy.chmod(0o644)
    copy.write_bytes(data)

    assert file_path(counting(), file).read_bytes() == LARGE


def test_a_damaged_header_in_the_cache_is_fetched_again(counting, tmp_path):
    file = put_bytes(counting(), LARGE)
    file_path(counting(), file)
    (header,) = [path for path in (tmp_path / "cache" / "headers").rglob("*") if path.is_file()]
    header.write_bytes(header.read_bytes()[:50])
    again = counting()

    assert file_path(again, file).read_bytes() == LARGE
    assert again.behind.asked == 1


def test_a_read_of_some_bytes_fetches_little(counting):
    counting().create("files/md5/aa/bb", LARGE)
    store = counting()

    for start in range(0, 2**20, 2**17):
        assert bytes(store.get_range("files/md5/aa/bb", start, start + 10)) == LARGE[start : start + 10]

    assert store.behind.asked == 9  # the header once


def test_each_layer_may_be_encrypted_with_its_own_key(store, key, tmp_path):
    plain = open_store(str(tmp_path / "plain"), cache=tmp_path / "cache")
    make_user_key(tmp_path / "other")
    other = open_store(f"memory://{secrets.token_hex(6)}", cache=tmp_path / "cache", encryption_key=tmp_path / "other")
    for base, own in ((store, plain), (other, store), (plain, other)):
        frame = pl.DataFrame({"n": [secrets.randbelow(2**40)]})
        ref = write_table(base, frame, scratch=tmp_path / "scratch")
        refs.save(base, "main", ("bike", own.url), None, ref)
        layered = LayeredStore(own, base)

        assert read_frame(layered, refs.load(layered, "main", ("bike", own.url), None).digest).equals(frame)
        mine = write_table(layered, frame * 2, scratch=tmp_path / "scratch")
        refs.save(layered, "main", ("bike", own.url), None, mine)
        assert read_frame(own, mine.digest).equals(frame * 2)
        assert is_encrypted(layered) == is_encrypted(own) == (own is not plain)
        assert is_encrypted(layered.base) == (base is not plain)


def test_a_full_memory_is_told(store, tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from resources.storage.plain_copies import PlainCopies\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "PlainCopies().lease('a' * 64, 2**21, lambda: [bytes(2**21)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)

    assert "StoreError: cannot hold the 2,097,152 plain bytes" in done.stderr
    assert "read fewer files at once" in done.stderr
