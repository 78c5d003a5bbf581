"""`penstock pack` of folders that other loaders wrote, in an installation in which nothing was run."""

from tests.integration.shell import Shell
from tests.resources.test_loader_moved import MOVED


def test_a_folder_of_another_loader_is_packed_under_a_name(empty: Shell):
    told = empty("pack", MOVED / "mds-zstd", "--as", "images/packed@1", "--keep", "i", "--json")
    assert (told.code, told.json["rows"], told.json["shards"]) == (0, 5, 1), told.err
    shown = empty("data", "show", "images/packed@1", "--json").json
    assert {column["name"] for column in shown["columns"]} >= {"s", "jpg", "i"}
    again = empty("pack", MOVED / "mds-zstd", "--as", "images/packed@2", "--keep", "i", "--json")
    assert again.json["digest"] == told.json["digest"]


def test_a_folder_that_is_damaged_is_named_and_nothing_is_stored(empty: Shell, tmp_path):
    (tmp_path / "index.json").write_text('{"version": 2, "shards": [{"version": 2, "format": "csv"}]}')
    refused = empty("pack", tmp_path, "--as", "rows/packed@1")
    assert (refused.code, "format 'csv'" in refused.err, "Traceback" in refused.err) == (1, True, False)
    assert empty("data", "ls", "--json").json == []
