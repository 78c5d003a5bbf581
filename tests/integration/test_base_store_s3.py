"""No request that writes reaches a base store in S3, although the credentials allow it."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from resources.errors import StoreError
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.layered import LayeredStore
from resources.storage.push import push
from resources.storage.store import open_store
from resources.workspace import base_store_of, open_workspace
from tests.integration.recording import Recorded, recording
from tests.integration.seaweed import Seaweed

pytestmark = pytest.mark.slow
THEIRS, MINE = pl.DataFrame({"n": range(1000)}), pl.DataFrame({"n": range(2000)})
ASSET = ("bike", "raw")


@pytest.fixture
def recorded(seaweed: Seaweed, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    with recording(seaweed.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.mark.parametrize("own", ["folder", "s3"])
def test_no_write_is_ever_sent_to_a_base_in_s3(recorded: Recorded, s3_url: str, tmp_path: Path, own: str):
    production = open_store(f"{s3_url}/base", cache=tmp_path / "there")
    theirs = write_table(production, THEIRS, scratch=tmp_path / "scratch")
    refs.save(production, "main", ASSET, "2011-01", theirs)
    before = {key: production.get(key) for key in production.list("")}
    recorded.requests.clear()
    given = {
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PENSTOCK_STORE": f"{s3_url}/own" if own == "s3" else str(tmp_path / "own"),
        "PENSTOCK_BASE_STORE": f"{s3_url}/base",
    }
    store = open_workspace(load_settings(given)).store
    assert isinstance(store, LayeredStore)

    assert read_frame(store, refs.load(store, "main", ASSET, "2011-01").digest).equals(THEIRS)
    assert write_table(store, THEIRS, scratch=tmp_path / "scratch").digest == theirs.digest
    mine = write_table(store, MINE, scratch=tmp_path / "scratch")
    refs.save(store, "main", ASSET, "2011-01", mine)
    store.delete(f"objects/{theirs.digest[:2]}/{theirs.digest}")
    with pytest.raises(StoreError, match="only read"):
        store.base.put("refs/main/bike/raw/p2011-01.json", b"")

    assert read_frame(store, theirs.digest).equals(THEIRS)
    assert refs.load(store, "main", ASSET, "2011-01") == mine
    assert any("/base/" in path for _, path in recorded.requests)
    assert [request for request in recorded.writes if "/base/" in request[1]] == []
    assert bool(recorded.writes) == (own == "s3")  # the proxy sees writes where there are some
    assert {key: production.get(key) for key in production.list("")} == before


def test_a_push_to_s3_is_read_there_by_its_own_name(s3_url: str, tmp_path: Path):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path / "home"), "PENSTOCK_BASE_STORE": f"{s3_url}/base"})
    store, target = open_workspace(settings).store, base_store_of(settings)
    assert target is not None
    mine = write_table(store, MINE, scratch=tmp_path / "scratch")

    push(store, target, mine.digest, scratch=tmp_path / "scratch")

    assert read_frame(open_store(f"{s3_url}/base", cache=tmp_path / "there"), mine.digest).equals(MINE)
