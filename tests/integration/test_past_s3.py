"""How many requests a look at a long past sends to a real S3 server."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assets.history import History, _past
from assets.partitions import Partitions
from assets.stage import Stage
from quality.report import Section
from resources.past import SPARED
from resources.reports import keep_section
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import write_table
from resources.workspace import open_workspace
from tests.integration.recording import recording

pytestmark = pytest.mark.slow
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


def key(hour: int) -> str:
    return f"{FIRST + timedelta(hours=hour):%Y-%m-%dT%H}"


def test_what_history_reads_of_s3_does_not_grow_with_the_past(s3_url, seaweed, tmp_path, monkeypatch):
    settings = load_settings({"PENSTOCK_HOME": str(tmp_path), "PENSTOCK_STORE": s3_url})
    workspace = open_workspace(settings)
    stage = Stage(pipeline="rides", name="raw", code_version="1", partitions=Partitions(every="hourly", start=key(0)))
    for hour in range(SPARED + 1):
        ref = write_table(workspace.store, pl.DataFrame({"n": [hour]}), scratch=workspace.scratch)
        refs.save(workspace.store, workspace.registry_name, ("rides", "raw"), key(hour), ref)
        for check in ("contract", "expectations"):
            verdict = "block" if hour == 7 else "pass"
            section = Section(
                stage="raw", check=check, verdict=verdict, reason="", digest=ref.digest, at="", run_id="", entries=()
            )
            keep_section(workspace.store, workspace.registry_name, "rides", key(hour), section)
    sent = []
    with recording(seaweed.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        for _ in range(2):
            there = open_workspace(settings)
            proxy.requests.clear()
            found = _past(there, stage, History(), ref, key(SPARED))
            sent.append(len(proxy.requests))
            assert [span.key for span, _ in found] == [key(hour) for hour in range(SPARED + 1) if hour != 7]
    assert sent[0] > 5 * SPARED
    assert sent[1] <= 20
