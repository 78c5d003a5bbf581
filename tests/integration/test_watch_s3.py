"""The look at a source on a real S3 server: one listing, checksums instead of clocks."""

import zipfile
from io import BytesIO
from typing import Any

import pytest

from tests.resources.test_watch import found, look, rows

pytestmark = pytest.mark.slow


def put(url: str, data: bytes) -> None:
    import fsspec

    with fsspec.open(url, "wb") as file:
        file.write(data)  # type: ignore[union-attr]


def csv(key: str, content: int) -> bytes:
    return f"at,rides\n{rows(key, content)}".encode()


def test_new_changed_and_rewritten_objects_are_told_apart(s3_url: str):
    url = f"{s3_url}/rides-{{partition}}.csv"
    put(f"{s3_url}/rides-2011-01.csv", csv("2011-01", 1))
    first = look(url)
    put(f"{s3_url}/rides-2011-01.csv", csv("2011-01", 1))
    put(f"{s3_url}/rides-2011-03.csv", csv("2011-03", 1))
    second = look(url, first.seen)
    put(f"{s3_url}/rides-2011-01.csv", csv("2011-01", 2))
    third = look(url, second.seen)
    assert [found(first), found(second), found(third)] == [["2011-01"], ["2011-03"], ["2011-01"]]
    assert look(url, third.seen).changes == ()


def test_one_listing_serves_all_partitions(s3_url: str, monkeypatch: pytest.MonkeyPatch):
    import s3fs

    for key in ("2011-01", "2011-02", "2011-03"):
        put(f"{s3_url}/rides-{key}.csv", csv(key, 1))
    seen = look(f"{s3_url}/rides-{{partition}}.csv").seen
    calls: list[str] = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(method)
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    assert look(f"{s3_url}/rides-{{partition}}.csv", seen).changes == ()
    assert len(calls) <= 1  # s3fs pages the listing without it; nothing is asked for one by one


def test_one_object_for_all_partitions_is_read_again_only_when_it_changed(s3_url: str):
    url = f"{s3_url}/rides.csv"
    put(url, csv("2011-01", 1))
    first = look(url)
    put(url, csv("2011-01", 1) + rows("2011-02", 1).encode())
    assert [found(first), found(look(url, first.seen))] == [["2011-01"], ["2011-02"]]


def test_an_archive_that_was_replaced_is_opened_anew(s3_url: str):
    url = f"zip://{{partition}}.csv::{s3_url}/all.zip"
    put(f"{s3_url}/all.zip", archive({"2011-01": 1, "2011-02": 1}))
    first = look(url)
    put(f"{s3_url}/all.zip", archive({"2011-01": 1, "2011-02": 2}))
    assert [found(first), found(look(url, first.seen))] == [["2011-01", "2011-02"], ["2011-02"]]


def archive(contents: dict[str, int]) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for key, content in contents.items():
            file.writestr(f"{key}.csv", csv(key, content))
    return data.getvalue()
