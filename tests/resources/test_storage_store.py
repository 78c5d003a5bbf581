"""One contract, every store: what holds for a folder holds for objects in memory (and for S3, in tests/integration)."""

import secrets
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.errors import ObjectMissing, StoreError
from resources.settings import PROJECT_ROOT
from resources.storage.content import describe_bytes
from resources.storage.data_key import make_user_key
from resources.storage.encrypted import is_encrypted
from resources.storage.files import put_bytes
from resources.storage.layered import LayeredStore
from resources.storage.sealing import HEADER_BYTES, TAG_BYTES
from resources.storage.store import Store, check_key, open_store, redact

KEYS = ["a", "a-b", "x/a", "x/b/c", "x/b/d", "xy/a", "refs/main/p/p2012-01%20x.json", "é/ü 1"]
FOLDERS = ["", "x", "x/", "x/b", "xy", "nowhere", "refs/main"]


@pytest.fixture(params=["folder", "file", "memory", "layered", "encrypted folder", "encrypted memory"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that opens a new, empty store."""

    def new() -> Store:
        name = secrets.token_hex(4)
        urls = {"folder": str(tmp_path / name), "file": f"file://{tmp_path}/{name}", "memory": f"memory://{name}"}
        if request.param == "layered":
            own, base = (open_store(urls[kind], cache=tmp_path / "cache" / name) for kind in ("folder", "memory"))
            return LayeredStore(own, base)
        kind, key = request.param.removeprefix("encrypted "), None
        if kind != request.param:
            make_user_key(key := tmp_path / "key")
        return open_store(urls[kind], cache=tmp_path / "cache" / name, encryption_key=key)

    return new


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    return new_store()


def test_what_is_created_can_be_read(store):
    assert store.create("x/a", b"bytes")

    assert store.get("x/a") == b"bytes"
    assert store.exists("x/a")


def test_ranges_are_read_alone_and_end_with_the_bytes(store):
    store.create("x/a", b"0123456789")

    assert bytes(store.get_range("x/a", 2, 5)) == b"234"
    assert bytes(store.get_range("x/a", 8, 20)) == b"89"
    with pytest.raises(ObjectMissing, match="x/none"):
        store.get_range("x/none", 0, 1)


def test_create_never_replaces(store):
    store.create("x/a", b"first")

    assert not store.create("x/a", b"second")
    assert store.get("x/a") == b"first"


def test_put_replaces(store):
    store.put("x/a", b"first")
    store.put("x/a", b"second")

    assert store.get("x/a") == b"second"


def test_sizes_tells_the_bytes_of_what_list_lists(store):
    for key in KEYS:
        store.create(key, key.encode())

    for folder in FOLDERS:
        # Encrypted, a value takes more where it lies: the sizes are those.
        more = 0 if not is_encrypted(store) else HEADER_BYTES + TAG_BYTES
        assert store.sizes(folder) == {key: len(key.encode()) + more for key in store.list(folder)}
        assert list(store.sizes(folder)) == store.list(folder)
        assert list(store.stamps(folder)) == store.list(folder)
        inside = [key.removeprefix(f"{folder.rstrip('/')}/" if folder else "") for key in store.list(folder)]
        assert list(store.folders(folder)) == sorted({key.split("/")[0] for key in inside if "/" in key})


def test_a_stamp_changes_with_the_bytes_and_only_then(store):
    for key in KEYS:
        store.put(key, b"one")
    before = store.stamps("")
    assert store.stamps("") == before
    store.put("x/a", b"two")
    assert store.swap("a", b"two", tag=store.get_tagged("a")[1])
    after = store.stamps("")
    assert {key for key in KEYS if after[key] != before[key]} == {"x/a", "a"}
    assert store.stamps("x/b") == {key: after[key] for key in ("x/b/c", "x/b/d")}


def test_a_swap_replaces_what_its_tag_came_with_and_nothing_else(store):
    assert store.swap("x/a", b"first", tag=None)
    assert not store.swap("x/a", b"lost", tag=None)
    _, old = store.get_tagged("x/a")

    assert store.swap("x/a", b"second", tag=old)
    assert not store.swap("x/a", b"lost", tag=old)
    assert not store.swap("x/none", b"lost", tag=old)
    assert store.get_tagged("x/a")[0] == b"second"
    assert store.list("") == ["x/a"]


def test_of_many_writers_that_saw_the_same_one_swaps(store):
    store.put("refs/a", b"old")
    _, tag = store.get_tagged("refs/a")
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda writer: store.swap("refs/a", str(writer).encode(), tag=tag), range(64)))

    assert won.count(True) == 1
    assert store.get("refs/a") == str(won.index(True)).encode()


def test_a_file_is_read_by_what_names_it(store):
    file = put_bytes(store, data := secrets.token_bytes(5 * 2**20))

    assert store.local(file).read_bytes() == data
    store.release_local(file)
    with pytest.raises(ObjectMissing, match=r"no object files/md5/.* in store"):
        store.local(describe_bytes(b"none")[0])


def test_a_range_behind_the_end_is_empty(store):
    store.put("a", b"0123456789")
    store.put("empty", b"")

    for key, start, end in (("a", 10, 20), ("a", 30, 40), ("empty", 0, 1)):
        assert bytes(store.get_range(key, start, end)) == b""


def test_upload_takes_a_local_file_once(store, tmp_path):
    file = tmp_path / "shard"
    file.write_bytes(b"first")

    assert store.upload("objects/a", file)
    assert not store.upload("objects/a", file)
    file.unlink()
    assert store.get("objects/a") == b"first"


def test_upload_takes_an_empty_and_a_large_file(store, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "large").write_bytes(large := secrets.token_bytes(9 * 2**20))

    assert store.upload("objects/empty", tmp_path / "empty")
    assert store.upload("objects/large", tmp_path / "large")
    assert not store.upload("objects/large", tmp_path / "large")
    assert store.get("objects/empty") == b""
    assert store.get("objects/large") == large


@pytest.mark.parametrize("read", [lambda store: store.get("x/none"), lambda store: store.get_tagged("x/none")])
def test_what_is_not_there_is_missed_by_name(store, read):
    store.put("x/a", b"")

    with pytest.raises(ObjectMissing, match=r"no object x/none in store .*: .*again"):
        read(store)


def test_delete_forgets_and_may_be_repeated(store):
    store.put("x/a", b"")

    store.delete("x/a")
    store.delete("x/a")

    assert not store.exists("x/a")
    assert store.list("x") == []


def test_of_many_writers_one_creates(store):
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda writer: store.create("log/1", str(writer).encode()), range(64)))

    assert won.count(True) == 1
    assert store.get("log/1") == str(won.index(True)).encode()


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "a/", "../a", "a/../b", "a/./b", ".a", "a/.b", "a\0b", "a\\b", "é" * 200]
)
def test_a_key_cannot_leave_the_store_or_break_the_disk(store, key):
    for use in (store.get, store.exists, store.get_tagged, store.delete, lambda key: store.create(key, b"")):
        with pytest.raises(StoreError, match="is no store key"):
            use(key)


values = st.binary(max_size=64)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(KEYS), values),
        st.tuples(st.just("put"), st.sampled_from(KEYS), values),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(b"")),
    ),
    max_size=20,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=steps)
def test_a_store_behaves_like_a_dictionary(new_store, steps):
    store, model = new_store(), dict[str, bytes]()
    for operation, key, value in steps:
        if operation == "create":
            assert store.create(key, value) == (key not in model)
            model.setdefault(key, value)
        elif operation == "put":
            store.put(key, value)
            model[key] = value
        else:
            store.delete(key)
            model.pop(key, None)
    assert {key: store.get(key) for key in store.list("")} == model
    assert [store.exists(key) for key in KEYS] == [key in model for key in KEYS]
    for folder in FOLDERS:
        inside = folder.rstrip("/") + "/" if folder else ""
        assert store.list(folder) == sorted(key for key in model if key.startswith(inside))


def test_one_memory_url_is_one_store_and_another_is_another(tmp_path):
    name = secrets.token_hex(4)
    open_store(f"memory://{name}", cache=tmp_path).put("a", b"1")

    assert open_store(f"memory://{name}", cache=tmp_path).get("a") == b"1"
    assert not open_store(f"memory://{name}-2", cache=tmp_path).exists("a")


@pytest.mark.parametrize("url", ["s3://me:secretsecret@bucket/p", "s3://bucket/p?token=secretsecret"])
def test_a_url_with_credentials_is_refused_without_repeating_them(url, tmp_path):
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as refused:
        open_store(url, cache=tmp_path)

    assert "secret" not in str(refused.value).lower().replace("aws_secret_access_key", "")


def test_an_unknown_scheme_is_refused_with_those_that_work(tmp_path):
    with pytest.raises(StoreError, match=r"give a folder, s3://bucket/prefix, memory://name or file:///folder"):
        open_store("ftp://host/x", cache=tmp_path)


@given(
    user=st.from_regex(r"[a-zA-Z0-9%+=]{1,20}", fullmatch=True),
    key=st.from_regex(r"[a-zA-Z0-9%+=:]{8,40}", fullmatch=True),
)
def test_redacting_removes_user_and_password_of_every_url(user, key):
    text = f"GET https://{user}:{key}@host/p failed, then s3://{user}:{key}@bucket"

    assert redact(text) == "GET https://host/p failed, then s3://bucket"


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=60),
        min_size=1,
    )
)
def test_keys_of_plain_names_are_allowed(parts):
    key = "/".join(part.lstrip(".") or "x" for part in parts)

    assert check_key(key) == key


def test_opening_a_store_imports_neither_pyarrow_nor_obstore(tmp_path):
    import subprocess

    code = (
        "import sys; from pathlib import Path; from resources.workspace import open_workspace; "
        "from resources.settings import load_settings; "
        f"open_workspace(load_settings({{'PENSTOCK_HOME': {str(tmp_path)!r}}})); "
        "print([name for name in ('pyarrow', 'obstore', 'pandas', 'polars') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT)

    assert done.stdout.strip() == "[]"
