"""How long versions stay is said in one place: the life cycle and `penstock data gc` go by it."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipelines import retention
from pipelines.cli.data.gc import gc
from resources.settings import load_settings
from resources.storage.datasets import write_table
from resources.storage.lifecycle.policy import Policy
from resources.storage.provenance import Provenance, record
from resources.workspace import open_workspace


@pytest.mark.parametrize(("days", "deleted"), [(365, 0), (50, 2)])
def test_gc_deletes_what_has_expired_by_the_retention_that_is_declared(tmp_path, monkeypatch, capsys, days, deleted):
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setattr(retention, "RETENTION", Policy(delete_after_days=days, keep_last=0))
    opened = open_workspace(load_settings())
    ref = write_table(opened.store, pl.DataFrame({"number": [1]}), scratch=opened.scratch)
    at = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    record(opened.store, Provenance(subject=ref.digest, kind="dataset", pipeline="p", stage="raw", created_at=at))

    gc(grace="0", as_json=True)

    assert json.loads(capsys.readouterr().out)["deleted"]["files"] == deleted


def test_the_life_cycle_goes_by_the_same_retention():
    from pipelines.upkeep import upkeep

    (asset,) = upkeep().assets or ()
    told = {name: getattr(retention.RETENTION, name) for name in Policy.__dataclass_fields__}
    (metadata,) = asset.metadata_by_key.values()
    assert told == metadata
