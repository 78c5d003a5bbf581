"""Look-alikes of one file a partition: named before they are made, made once, of so many rows, whole or not at all."""

from pathlib import Path

import pytest

from resources.errors import DeclarationError, SourceError
from resources.source import Source
from resources.source.listing import files_of
from resources.source.location import resolve
from resources.source.sample import partition_file

HERE = "tests.resources.test_source_sample"
ROWS = "SAMPLE_ROWS_FOR_TESTS"


def write(folder: Path, partition: str, rows: int) -> Path:
    """Write the look-alike that the tests below ask for."""
    path = folder / f"{partition}.csv"
    path.write_text("a\n" + "1\n" * rows)
    return path


def write_elsewhere(folder: Path, partition: str, rows: int) -> Path:
    """Write a file of another name."""
    return write(folder, f"{partition}-{rows}", rows)


def write_half(folder: Path, partition: str, rows: int) -> Path:
    """Stop in the middle, as on a full disk."""
    write(folder, partition, rows)
    raise OSError(28, "No space left on device", str(folder))


def source(generator: str = "write") -> Source:
    return Source(
        url_env="NEVER_SET_FOR_TESTS", sample=f"{HERE}:{generator}", sample_rows=3, sample_rows_env=ROWS, format="csv"
    )


def test_a_source_that_is_generated_by_partition_is_named_before_any_file_is_there(tmp_path):
    found = resolve(source(), scratch=tmp_path)
    assert found.sample
    assert found.templated
    assert list(tmp_path.iterdir()) == []
    assert files_of(found.url, ["2026-01"]) == {}


def test_a_partition_is_made_once_and_others_lie_beside_it(tmp_path):
    path = partition_file(source(), tmp_path, "2026-01")
    before = path.stat()
    assert partition_file(source(), tmp_path, "2026-01") == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    partition_file(source(), tmp_path, "2026-02")
    assert path.read_text() == "a\n1\n1\n1\n"
    assert set(files_of(resolve(source(), scratch=tmp_path).url, [])) == {"2026-01", "2026-02"}
    assert [item.name for item in (tmp_path / "samples").iterdir()] == [path.parent.name]


def test_another_number_of_rows_has_files_of_its_own(tmp_path, monkeypatch):
    declared = partition_file(source(), tmp_path, "2026-01")
    monkeypatch.setenv(ROWS, "5")
    given = partition_file(source(), tmp_path, "2026-01")
    assert given != declared
    assert len(given.read_text().splitlines()) == 6


@pytest.mark.parametrize("rows", ["0", "-1", "many", "5e6", "٣"])
def test_rows_that_are_no_number_are_named(tmp_path, monkeypatch, rows):
    monkeypatch.setenv(ROWS, rows)
    with pytest.raises(SourceError, match=f"{ROWS}='{rows}' is no number of rows: give a whole number from 1 on"):
        resolve(source(), scratch=tmp_path)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("nothing", "cannot be imported"),
        ("write_elsewhere", r"wrote 2026-01-3\.csv, expected 2026-01\.csv"),
        ("write_half", "No space left on device; make room there, or choose another folder"),
    ],
)
def test_a_generator_that_fails_is_named_and_leaves_nothing(tmp_path, generator, message):
    with pytest.raises(SourceError, match=message):
        partition_file(source(generator), tmp_path, "2026-01")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rows": 3}, "sample_rows needs sample and format"),
        ({"sample_rows": 3, "sample": "a:b"}, "sample_rows needs sample and format"),
        ({"sample_rows_env": "X", "sample": "a:b"}, "sample_rows_env needs sample_rows"),
        ({"sample_rows": 0, "sample": "a:b", "format": "csv"}, "greater than or equal to 1"),
    ],
)
def test_a_declaration_that_lacks_a_part_is_refused(fields, message):
    with pytest.raises(DeclarationError, match=message):
        Source(url_env="NEVER_SET_FOR_TESTS", **fields)
