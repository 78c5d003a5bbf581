"""The look into a file of several partitions: equal rows, equal digests, whatever lies around them."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import DeclarationError
from resources.source import Source
from resources.source.partitions import partition_digests
from tests.resources.ingesting import AT, RIDES, csv_text, hours


def digests(text: str, folder: Path) -> dict[str, str]:
    path = folder / "rides.csv"
    path.write_text(text)
    return partition_digests(Source(url=str(path)), RIDES, AT, lambda at: at.strftime("%Y-%m-%d"), scratch=folder)


def test_each_day_of_a_file_has_a_digest(tmp_path: Path):
    found = digests(csv_text(hours(72)), tmp_path)
    assert list(found) == ["2011-01-30", "2011-01-31", "2011-02-01"]
    assert len(set(found.values())) == 3


@settings(max_examples=20, deadline=None)
@given(changed=st.integers(0, 71), value=st.sampled_from([1000, -1, "x"]))
def test_a_changed_row_changes_the_digest_of_its_day_only(changed: int, value: object):
    rows = hours(72)
    with TemporaryDirectory() as folder:
        before = digests(csv_text(rows), Path(folder))
        rows[changed][2] = value
        after = digests(csv_text(rows), Path(folder))
    assert {day for day in before if before[day] != after[day]} == {list(before)[changed // 24]}


def test_rows_put_in_before_a_day_do_not_change_its_digest(tmp_path: Path):
    rows = hours(72)
    before = digests(csv_text(rows), tmp_path)
    after = digests(csv_text([*hours(30, "2011-01-01T00:00:00Z"), *rows]), tmp_path)
    assert {day: after[day] for day in before} == before


def test_digests_do_not_depend_on_how_a_line_is_spelled(tmp_path: Path):
    rows = hours(30)
    quoted = [[f'"{cell}"' for cell in row] for row in rows]
    assert digests(csv_text(rows), tmp_path) == digests(csv_text(quoted), tmp_path)


def test_the_key_is_asked_for_few_of_many_times(tmp_path: Path):
    asked: list[datetime] = []

    def key_of(at: datetime) -> str:
        asked.append(at)
        return at.strftime("%Y")

    path = tmp_path / "rides.csv"
    path.write_text(csv_text(hours(5000)))
    assert list(partition_digests(Source(url=str(path)), RIDES, AT, key_of, scratch=tmp_path)) == ["2011"]
    assert len(asked) < 20


def test_without_event_time_there_are_no_partitions(tmp_path: Path):
    with pytest.raises(DeclarationError, match="needs event_time and partitions"):
        partition_digests(Source(url="x.csv"), RIDES, None, None, scratch=tmp_path)
