"""`penstock data` over a store that a pipeline has filled."""

from pathlib import Path

import polars as pl
import pytest

from resources.storage.cache.cache import HostCache
from tests.integration.shell import NAME, PARTITIONS, Shell
from tests.resources.remotes import flip, remote

pytestmark = pytest.mark.slow


def test_ls_names_assets_and_then_their_versions(shell: Shell):
    assets = {item["asset"]: item["partitions"] for item in shell("data", "ls", "--json").json}
    assert set(assets[f"{NAME}/raw"]) >= set(PARTITIONS)

    versions = shell("data", "ls", f"{NAME}/raw", "--json").json
    assert {item["name"] for item in versions} >= {f"{NAME}/raw@{key}" for key in PARTITIONS}
    assert all(item["rows"] > 0 and item["size_bytes"] > 0 and len(item["digest"]) == 64 for item in versions)
    assert f"{NAME}/raw@{PARTITIONS[0]}" in shell("data", "ls", f"{NAME}/raw").out


def test_ls_of_an_asset_that_is_none_names_those_that_are(shell: Shell):
    done = shell("data", "ls", f"{NAME}/rare")

    assert done.code == 1
    assert f"{NAME}/raw" in done.err


def test_show_tells_rows_ranges_files_and_making(shell: Shell):
    told = shell("data", "show", f"{NAME}/raw@{PARTITIONS[0]}", "--json").json

    assert told["kind"] == "dataset"
    assert told["made"][0]["partition"] == PARTITIONS[0]
    assert [file["key"].split("/")[:2] for file in told["files"]] == [["files", "md5"]]
    assert all(column["nulls"] == 0 and column["low"] is not None for column in told["columns"])
    words = shell("data", "show", NAME, "--files").out
    assert "model.txt" in words


def test_diff_tells_what_changed_and_profiles_on_demand(shell: Shell):
    names = [f"{NAME}/raw@{key}" for key in PARTITIONS]

    told = shell("data", "diff", *names, "--json").json
    assert told["files"]["added"] == told["files"]["removed"] == 1
    assert told["columns"]
    assert told["profile"] is None
    assert shell("data", "diff", *names, "--profile", "--json").json["profile"]
    assert "both are version" in shell("data", "diff", names[0], names[0]).out
    refused = shell("data", "diff", names[0], NAME)
    assert (refused.code, "name two datasets or two models" in refused.err) == (1, True)


def test_a_version_is_exported_and_pulled_by_its_name(shell: Shell, tmp_path):
    told = shell("data", "export", f"{NAME}/raw@{PARTITIONS[0]}", tmp_path / "repo", "--as", "raw")
    assert (told.code, "dvc pull raw.dvc" in told.out) == (0, True), told.err

    pulled = shell("data", "pull", tmp_path / "repo" / "raw.dvc", "--json").json

    assert (pulled["files"], pulled["target"]) == (1, str(tmp_path / "repo" / "raw"))
    assert (tmp_path / "repo" / "raw" / "00000.parquet").stat().st_size == pulled["size_bytes"]
    assert "already" in shell("data", "pull", tmp_path / "repo" / "raw.dvc").out
    assert shell("data", "pull", NAME, tmp_path / "model").code == 0
    assert (tmp_path / "model" / "model.txt").exists()
    assert "exported to DVC" in shell("data", "pin").out
    assert shell("data", "pin", f"{NAME}/raw@{PARTITIONS[0]}", "--remove").code == 0
    refused = shell("data", "export", NAME, tmp_path / "repo", "--as", "a/b")
    assert (refused.code, "is no file name" in refused.err) == (1, True)


def test_a_folder_of_raw_files_is_imported_listed_and_pulled(shell: Shell, tmp_path):
    raw = tmp_path / "raw"
    (raw / "cats").mkdir(parents=True)
    for number in range(20):
        (raw / "cats" / f"{number}.png").write_bytes(bytes([number]) * 700)

    told = shell("data", "import", raw, "photos/raw@2026-11", "--json").json
    assert (told["files"], told["stored"]) == (20, 1)
    (listed,) = shell("data", "ls", "photos/raw", "--json").json
    assert (listed["kind"], listed["size_bytes"]) == ("folder", 14_000)
    assert shell("data", "show", "photos/raw@2026-11", "--json").json["made"][0]["pipeline"] == "photos"
    assert shell("data", "pull", "photos/raw@2026-11", tmp_path / "out").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "cats").iterdir()} == {
        path.name: path.read_bytes() for path in (raw / "cats").iterdir()
    }
    refused = shell("data", "import", raw, f"{NAME}/raw@{PARTITIONS[0]}")
    assert (refused.code, "is made by a pipeline" in refused.err) == (1, True)
    assert shell("data", "import", raw, "photos").code == 2


def test_a_dataset_is_packed_for_the_loader_under_a_name(shell: Shell):
    name = f"{NAME}/features@{PARTITIONS[0]}"
    told = shell("pack", name, "--as", f"{NAME}/packed@1", "--keep", "label", "--json").json
    rows = shell("data", "show", name, "--json").json["rows"]
    assert told["rows"] == rows > 0
    assert "label" not in str(told["matrices"])
    shown = shell("data", "show", f"{NAME}/packed@1", "--json").json
    assert [file["name"] for file in shown["files"]] == ["00000.arrow"]
    assert shown["made"][0]["parents"][0]["digest"] == shell("data", "show", name, "--json").json["digest"]
    assert shell("pack", name, "--as", f"{NAME}/packed@1", "--keep", "label", "--json").json["digest"] == told["digest"]
    refused = shell("pack", name, "--as", name)
    assert (refused.code, "is made by a pipeline" in refused.err) == (1, True)
    refused = shell("pack", name, "--as", f"{NAME}/other", "--keep", "labl")
    assert (refused.code, "did you mean 'label'" in refused.err) == (1, True)
    assert shell("data", "ls", f"{NAME}/other").code == 1


def test_missing_numbers_are_filled_on_request_when_packed(shell: Shell, tmp_path: Path):
    pl.DataFrame({"a": [1.0, None], "b": [None, 2.0], "n": [None, 1]}).write_parquet(tmp_path / "holed.parquet")
    assert shell("pack", tmp_path / "holed.parquet", "--as", f"{NAME}/holed@1", "--json").json["matrices"] == {}
    given = ("pack", tmp_path / "holed.parquet", "--as", f"{NAME}/filled@1", "--json")
    assert shell(*given, "--fill-null", "-1").json["matrices"] == {"float64": ["a", "b"]}
    for value, words in (("nan", "column 'n' of type int64 has no place"), ("none", "give a number, or nan")):
        refused = shell(*given, "--fill-null", value)
        assert (refused.code, words in refused.err) == (1, True)


def test_verify_finds_every_version_whole_and_then_names_what_is_not(shell: Shell):
    whole = shell("data", "verify")
    assert (whole.code, "none damaged" in whole.out) == (0, True)
    told = shell("data", "show", f"{NAME}/raw@{PARTITIONS[0]}", "--json").json
    digest, key = told["digest"], told["files"][0]["key"]
    (file,) = shell.home.folder.rglob(key)
    data = file.read_bytes()
    file.chmod(0o644)

    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    damaged = shell("data", "verify", digest)
    file.write_bytes(data[:-1])
    short = shell("data", "verify", digest, "--depth", "sizes")
    file.write_bytes(data)

    assert (damaged.code, "its bytes are not those of" in damaged.out) == (1, True)
    assert (short.code, f"it has {len(data) - 1:,} bytes, the manifest says {len(data):,}" in short.out) == (1, True)
    assert shell("data", "verify", digest).code == 0


def test_gc_keeps_what_is_pinned_and_deletes_what_nothing_names(shell: Shell):
    name = f"{NAME}/features@{PARTITIONS[0]}"
    digest = shell("data", "show", name, "--json").json["digest"]
    (store,) = {path.parents[3] for path in shell.home.folder.rglob("refs/*/*/raw")}
    (log,) = store.glob(f"registry/*/{NAME}")
    champion = {entry: entry.read_bytes() for entry in log.iterdir()}
    (ref,) = store.glob(f"refs/*/{NAME}/features/p{PARTITIONS[0]}.json")
    hidden = {path: path.read_bytes() for path in [ref, *champion, *store.glob(f"refs/*/{NAME}/[em]*/*.json")]}
    hidden |= {path: path.read_bytes() for path in store.glob(f"refs/*/{NAME}/deployment/*.json")}
    assert shell("data", "gc", "--dry-run", "--json").json["dead"] == []
    assert shell("data", "pin").out == "no version is pinned\n"

    assert shell("data", "pin", name, "--reason", "for the auditors").code == 0
    for path in hidden:
        path.unlink()
    told = shell("data", "gc", "--dry-run", "--json").json
    assert digest not in {item["digest"] for item in told["dead"]}
    assert {item["kind"] for item in told["dead"]} >= {"model"}
    assert shell("data", "pin", digest, "--remove").code == 0
    marked = shell("data", "gc", "--json").json
    assert digest in {item["digest"] for item in marked["dead"]}
    assert (marked["deleted"]["files"], marked["due"] is not None) == (0, True)
    assert "would be deleted: 0 files" in shell("data", "gc", "--dry-run").out
    assert shell("data", "gc", "--grace", "0", "--json").json["deleted"] == marked["marked"]
    assert shell("data", "show", digest).code == 1

    assert shell("run", NAME, "--partition", PARTITIONS[-1], "--quiet").code == 0
    assert shell("data", "show", name, "--json").json["digest"] == digest
    assert shell("data", "verify").code == 0


def test_gc_refuses_a_grace_that_is_no_duration_and_recall_a_missing_archive(shell: Shell):
    refused = shell("data", "gc", "--grace", "soon")
    assert (refused.code, "is no duration" in refused.err) == (2, True)
    none = shell("data", "recall", "0" * 12)
    assert (none.code, "PENSTOCK_ARCHIVE" in none.err) == (1, True)


def test_scrub_names_damaged_copies_and_ends_with_1_and_stats_tell_of_it(empty: Shell, tmp_path):
    cache, items = HostCache(tmp_path / "cache", budget_bytes=10**6), [remote(500), remote(700)]
    paths = [cache.lease(item.digest, item) for item in items]
    for item in items:
        cache.release(item.digest)
    flip(paths[1], 7)
    where = {"PENSTOCK_CACHE": str(cache.root)}

    found = empty("data", "scrub", "--rate", "1GB", **where)

    assert (found.code, found.out.splitlines()) == (
        1,
        [f"{items[1].digest}: damaged, dropped", "2 copies verified, 1.20 kB read: 1 damaged, 1 dropped"],
    )
    again = empty("data", "scrub", "--for-s", "60", "--json", **where)
    assert (again.code, again.json["copies"], again.json["damaged"]) == (0, 1, [])
    stats = empty("data", "stats", "--json", **where).json
    assert (stats["scrubbed"], stats["scrubbed_bytes"], stats["damaged"]) == (3, 1700, 1)
    words = empty("data", "stats", **where).out
    assert f"every copy was verified since {stats['verified_since']}" in words
    for wrong in (("--rate", "fast"), ("--for-s", "0")):
        assert empty("data", "scrub", *wrong, **where).code == 2
