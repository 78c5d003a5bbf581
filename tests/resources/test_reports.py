"""Reports in a store: sections are kept by stage and check, and read back as one report."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from quality.report import Entry, Section
from resources.errors import ObjectMissing, StoreError
from resources.reports import FOLDER, keep_section, page_url, renew_page, report_of, write_page
from resources.settings import load_settings
from resources.storage.store import open_store
from resources.workspace import open_workspace


def section(stage: str, check: str = "", rows: int = 1) -> Section:
    return Section(
        stage=stage, check=check, verdict="pass" if check else None, reason="", digest="d", at="2026-01-01", run_id="r",
        entries=(Entry(name="rows", kind="number", value=rows),),
    )  # fmt: skip


def test_what_a_stage_writes_again_takes_the_place_of_what_it_wrote(tmp_path: Path):
    store = open_store(str(tmp_path), cache=tmp_path / "cache")
    for rows in (1, 2):
        keep_section(store, "main", "rides", "2026/01 a", section("raw", rows=rows))
    keep_section(store, "main", "rides", "2026/01 a", section("raw", "volume"))
    keep_section(store, "main", "rides", None, section("raw", rows=9))
    keep_section(store, "other", "rides", "2026/01 a", section("raw", rows=9))
    made = report_of(store, "main", "rides", "2026/01 a")
    assert [(item.check, item.entries[0].value) for item in made.sections] == [("", 2), ("volume", 1)]


def test_a_damaged_section_is_left_out(tmp_path: Path):
    store = open_store(str(tmp_path), cache=tmp_path / "cache")
    for stage in ("raw", "features"):
        keep_section(store, "main", "rides", None, section(stage))
    (key,) = [key for key in store.list(FOLDER) if "raw" in key]
    store.put(key, b'{"digest": "0", "value": {}}')
    assert [item.stage for item in report_of(store, "main", "rides", None).sections] == ["features"]


def test_a_partition_that_never_ran_has_no_report(tmp_path: Path):
    with pytest.raises(ObjectMissing, match=r"no report of pipeline 'rides' partition 2026-01 .* penstock run rides"):
        report_of(open_store(str(tmp_path), cache=tmp_path / "cache"), "main", "rides", "2026-01")


def test_a_page_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path):
    store = open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    keep_section(store, "main", "rides", None, section("raw"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .* set PENSTOCK_HOME"):
        write_page(tmp_path / "file" / "page.html", report_of(store, "main", "rides", None))


def test_checks_that_end_at_a_time_leave_one_page_with_all_of_them(tmp_path: Path):
    workspace = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))
    checks, together = [f"check {number}" for number in range(8)], Barrier(8)

    def run(check: str) -> Path:
        keep_section(workspace.store, "main", "rides", "2026-01", section("raw", check))
        together.wait(timeout=30)
        return renew_page(workspace, "rides", "2026-01")

    with ThreadPoolExecutor(8) as pool:
        (path,) = set(pool.map(run, checks))
    text = path.read_text(encoding="utf-8")
    assert all(f">{check}</a>" in text for check in checks)
    assert list(path.parent.iterdir()) == [path]


def test_a_page_has_an_address_only_where_the_settings_name_a_server(tmp_path: Path):
    home = {"PENSTOCK_HOME": str(tmp_path)}
    served = {**home, "PENSTOCK_REPORTS_URL": "https://reports.example.org/penstock/"}
    assert page_url(open_workspace(load_settings(home)), "rides", "2026-01") is None
    address = page_url(open_workspace(load_settings(served), registry="trial"), "rides", "2026-01-01-10:00")
    assert address == "https://reports.example.org/penstock/trial/rides/2026-01-01-10%3A00.html"
