"""Encryption at rest with the real command line, and over a real S3 server."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from resources.errors import IntegrityError, StoreError
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.content import StoredFile
from resources.storage.data_key import make_user_key
from resources.storage.datasets import read_frame, write_table
from resources.storage.files import file_path, put_file
from resources.storage.object_store import ObjectStore
from resources.storage.store import ENCRYPTION, open_as_it_lies, open_store
from resources.workspace import open_workspace
from tests.integration.shell import NAME, Shell

pytestmark = pytest.mark.slow
PARTITION = "2024-02"


def test_a_pipeline_runs_on_an_encrypted_store_and_its_key_is_rotated(empty: Shell, tmp_path: Path):
    empty.declare(NAME)
    store, key, other = empty.home.folder / "penstock" / "store", tmp_path / "user.key", tmp_path / "other.key"
    given = {"PENSTOCK_ENCRYPTION_KEY": str(key)}
    told = empty("data", "ls", **given)
    assert (told.code, "penstock data key --new" in told.err) == (1, True)
    assert empty("data", "key", "--new", **given).code == 0
    assert "never replaced" in empty("data", "key", "--new", **given).err

    ran = empty("run", NAME, "--partition", PARTITION, "--json", **given)

    assert ran.code == 0, ran.err
    champion = ran.json["champion_after"]
    lying = {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    words = (b"PAR1", NAME.encode(), champion.encode())
    assert not [name for name, data in lying.items() if any(word in data for word in words)]
    assert {name for name, data in lying.items() if not data.startswith(b"PNSTKAE1")} == {ENCRYPTION}
    assert empty("data", "verify", NAME, **given).code == 0
    refused = empty("data", "ls")
    assert (refused.code, "is encrypted: set PENSTOCK_ENCRYPTION_KEY" in refused.err) == (1, True)

    assert empty("data", "key", "--new", PENSTOCK_ENCRYPTION_KEY=str(other)).code == 0
    assert "opened by another key" in empty("data", "key", PENSTOCK_ENCRYPTION_KEY=str(other)).out
    turned = empty("data", "key", "--rotate", str(other), "--json", **given)
    assert turned.json["key_id"] == turned.json["store_key_id"]
    assert empty("summary", NAME, "--json", **given).code == 1
    found = empty("summary", NAME, "--json", PENSTOCK_ENCRYPTION_KEY=str(other))
    assert found.json["champion"]["model"]["digest"] == champion
    assert json.loads((store / ENCRYPTION).read_bytes())["key_id"] == turned.json["key_id"]


def test_s3_and_the_hosts_cache_hold_ciphertext_alone(s3_url: str, tmp_path: Path):
    make_user_key(tmp_path / "key")
    given = {
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PENSTOCK_STORE": s3_url,
        "PENSTOCK_ENCRYPTION_KEY": str(tmp_path / "key"),
    }
    frame = pl.DataFrame({"text": ["must not be seen"] * 1_000})
    (tmp_path / "large").write_bytes(large := b"must not be seen" * 2**20)
    store = open_workspace(load_settings(given)).store
    ref = write_table(store, frame, scratch=tmp_path / "home" / "scratch")
    file = put_file(store, tmp_path / "large")

    for value in (ref, replace(ref, rows=1), ref):
        refs.save(store, "main", ("bike", "raw"), None, value)

    again = open_workspace(load_settings(given)).store
    assert refs.load(again, "main", ("bike", "raw"), None) == ref
    assert read_frame(again, ref.digest).equals(frame)
    assert file_path(again, file).read_bytes() == large
    assert bytes(again.get_range(file.key, 5_000_000, 5_000_100)) == large[5_000_000:5_000_100]

    behind = open_as_it_lies(s3_url, cache=tmp_path / "other")
    lying = [behind.get(key) for key in behind.list("")]
    lying += [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(lying) > 8
    assert not any(b"must not be seen" in data or b"PAR1" in data for data in lying)
    with pytest.raises(StoreError, match="is encrypted: set PENSTOCK_ENCRYPTION_KEY"):
        open_store(s3_url, cache=tmp_path / "cache").list("")
    _damage(behind, file)
    with pytest.raises(IntegrityError, match="was altered"):
        file_path(open_store(s3_url, cache=tmp_path / "new", encryption_key=tmp_path / "key"), file)


def _damage(behind: object, file: StoredFile) -> None:
    assert isinstance(behind, ObjectStore)
    data = bytearray(behind.get(file.key))
    data[9_000_000] ^= 1
    behind.put(file.key, bytes(data))
    assert bytes(behind.get_range(file.key, len(data) + 5, len(data) + 9)) == b""
