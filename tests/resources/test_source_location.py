"""Where raw files lie: declared, resolved, printed, told apart when they change, and opened from any fsspec URL."""

import functools
import gzip
import http.server
import os
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.errors import DeclarationError, SourceError
from resources.source import EventTime, Source, location
from resources.source.location import file_url, fingerprint, redacted, resolve
from resources.source.spec import guess_format
from tests.resources.ingesting import AT, FEBRUARY, Workplace, csv_text, hours, workplace

__all__ = ["workplace"]


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("rides.csv", "csv"),
        ("RIDES.CSV.GZ", "csv"),
        ("zip://hour.csv::https://example.org/x.zip?download=1", "csv"),
        ("s3://bucket/{partition}.parquet", "parquet"),
        ("simplecache::s3://bucket/x.jsonl", "jsonl"),
        ("x.feather", "arrow"),
        ("x.xls", None),
    ],
)
def test_the_format_is_told_by_the_file_name(url: str, form: str | None):
    assert guess_format(url) == form


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "url is empty"),
        ({"url": "x.csv", "options": {"delimeter": ";"}}, "did you mean 'delimiter'"),
        ({"url": "x.csv", "options": {"delimiter": ";;"}}, "options.delimiter must be one ASCII character"),
        ({"url": "x.csv", "options": {"encoding": "latin-77"}}, "options.encoding 'latin-77' is unknown"),
        ({"url": "x.csv", "options": {"encoding": "base64"}}, "options.encoding 'base64' is unknown"),
        ({"url": "x.csv", "options": {"null_values": "NA"}}, "options.null_values must be a list of texts"),
        ({"url": "x.parquet", "options": {"delimiter": ";"}}, "'delimiter' is not one of"),
        ({"url": "x.csv", "format": "cvs"}, "did you mean 'csv'"),
        ({"url": "x.csv", "sample": "module:function"}, "sample needs url_env"),
        ({"sample": "module", "url_env": "X"}, "must be written 'module:function'"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str):
    with pytest.raises(DeclarationError, match=message):
        Source(**fields)


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(DeclarationError, match="'New York' is no IANA time zone"):
        EventTime(column="at", timezone="New York")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.org/x.csv", "https://example.org/x.csv"),
        ("zip://a.csv::https://example.org/x.zip?token=secret", "zip://a.csv::https://example.org/x.zip"),
        ("https://example.org/x.csv?sig=secret::y", "https://example.org/x.csv::y"),
        ("/data/x.csv", "/data/x.csv"),
    ],
)
def test_credentials_are_never_shown(url: str, shown: str):
    assert redacted(url) == shown


def test_an_error_shows_no_credentials():
    with pytest.raises(SourceError) as error:
        fingerprint("https://me:secret@127.0.0.1:1/x.csv?token=secret")
    assert "secret" not in str(error.value)


def test_the_setting_replaces_the_declared_url(monkeypatch: pytest.MonkeyPatch):
    source = Source(url="declared.csv", url_env="RIDES_URL")
    monkeypatch.delenv("RIDES_URL", raising=False)
    assert resolve(source).url == "declared.csv"
    monkeypatch.setenv("RIDES_URL", "given.csv")
    assert resolve(source).url == "given.csv"


def test_a_template_needs_a_partition():
    assert file_url("s3://b/{partition}/x-{partition}.csv", "2011-01") == "s3://b/2011-01/x-2011-01.csv"
    with pytest.raises(SourceError, match="names one file a partition: give a partition"):
        file_url("{partition}.csv", None)


def make_sample(folder: Path) -> Path:
    """Write the look-alike that the tests below ask for."""
    path = folder / "rides.csv"
    path.write_text(csv_text(hours(3)))
    return path


def make_two(folder: Path) -> Path:
    """Write one file too many."""
    (folder / "other.csv").write_text("")
    return make_sample(folder)


def test_a_setting_comes_before_a_declared_url_and_that_before_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    both = Source(url="real.csv", url_env="RIDES_URL", sample="tests.resources.test_source_location:make_sample")
    assert (resolve(both, scratch=tmp_path).url, resolve(both, scratch=tmp_path).sample) == ("real.csv", False)
    monkeypatch.setenv("RIDES_URL", "set.csv")
    assert resolve(both, scratch=tmp_path).url == "set.csv"


def test_a_sample_is_made_once_and_labelled(workplace: Workplace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RIDES_URL", raising=False)
    options = {"sample": "tests.resources.test_source_location:make_sample", "url_env": "RIDES_URL"}
    first = workplace.ingest("", format="csv", **options)
    assert first.report.sample is True
    assert workplace.ingest("", format="csv", **options) == first
    monkeypatch.setenv("RIDES_URL", str(workplace.file("real.csv", csv_text(hours(3)))))
    assert workplace.ingest("", format="csv", **options).report.sample is False


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("tests.resources.nothing:make", "cannot be imported"),
        ("tests.resources.test_source_location:nothing", "cannot be imported"),
        ("tests.resources.test_source_location:make_two", "must write one file"),
    ],
)
def test_a_sample_generator_that_is_wrong_is_named(tmp_path: Path, generator: str, message: str):
    with pytest.raises(SourceError, match=message):
        resolve(Source(sample=generator, url_env="NEVER_SET_FOR_TESTS"), scratch=tmp_path)


def test_a_fingerprint_changes_with_the_file_and_only_then(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    before = fingerprint(str(path))
    assert fingerprint(f"file://{path}") == before
    path.write_text("a\n2\n")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    assert fingerprint(str(path)) != before
    assert before.size_bytes == 4


def test_a_missing_file_a_folder_and_a_locked_one_are_named(workplace: Workplace):
    with pytest.raises(SourceError, match=r"there is no file at .*nothing\.csv"):
        workplace.ingest(workplace.folder / "nothing.csv")
    with pytest.raises(SourceError, match="is a folder: name one file"):
        workplace.ingest(workplace.folder, format="csv")
    with pytest.raises(SourceError, match="cannot be read"):
        workplace.ingest("nosuchprotocol://x.csv")


def zipped(path: Path, text: str, member: str = "hour.csv") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, text)
    return path


def test_a_member_of_an_archive_is_read_like_a_file_of_its_own(workplace: Workplace):
    text = csv_text(hours(1000))
    plain = workplace.ingest(workplace.file("hour.csv", text))
    archive = zipped(workplace.folder / "x.zip", text)
    tarred = workplace.folder / "x.tar"
    with tarfile.open(tarred, "w") as tar:
        tar.add(workplace.folder / "hour.csv", "hour.csv")
    packed = zipped(workplace.folder / "y.zip", "")
    with zipfile.ZipFile(packed, "w") as inner:
        inner.writestr("hour.csv.gz", gzip.compress(text.encode()))
    for url in (f"zip://hour.csv::file://{archive}", f"zip://hour.csv::{archive}", f"tar://hour.csv::{tarred}"):
        done = workplace.ingest(url)
        assert (done.ref.digest, done.report.source_digest) == (plain.ref.digest, plain.report.source_digest)
    assert workplace.ingest(f"zip://hour.csv.gz::{packed}").ref.digest == plain.ref.digest


def test_an_archive_without_the_member_or_with_damaged_bytes_is_refused(workplace: Workplace):
    archive = zipped(workplace.folder / "x.zip", csv_text(hours(1000)))
    with pytest.raises(SourceError, match="there is no file at"):
        workplace.ingest(f"zip://day.csv::{archive}")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 255
    with pytest.raises(SourceError, match="is truncated or damaged"):
        workplace.ingest(f"zip://hour.csv::{workplace.file('bad.zip', bytes(data))}")
    with pytest.raises(SourceError, match="is truncated or damaged"):
        workplace.ingest(f"zip://hour.csv::{workplace.file('cut.zip', bytes(data[:200]))}")


def test_a_replaced_archive_is_seen_at_once(tmp_path: Path):
    url = f"zip://hour.csv::{zipped(tmp_path / 'x.zip', 'a,b')}"
    before = fingerprint(url)
    zipped(tmp_path / "x.zip", "a,b\n1,2\n")
    assert fingerprint(url) != before


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        status = self.path.removeprefix("/status/").partition("/")[0]
        if status.isdecimal():
            self.send_error(int(status))
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(workplace: Workplace) -> Iterator[str]:
    """Serve the workplace's folder and return its URL."""
    handler = functools.partial(_Quiet, directory=str(workplace.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_files_and_members_of_archives_are_read_from_a_web_server(workplace: Workplace, served: str):
    text = csv_text(hours(72))
    plain = workplace.ingest(workplace.file("2011-02.csv", text), partition="2011-02", bounds=FEBRUARY, event_time=AT)
    zipped(workplace.folder / "x.zip", text)
    for url in (f"{served}/2011-02.csv", f"zip://hour.csv::{served}/x.zip"):
        done = workplace.ingest(url, partition="2011-02", bounds=FEBRUARY, event_time=AT)
        assert (done.ref.digest, done.report.source_digest) == (plain.ref.digest, plain.report.source_digest)


def test_a_binary_file_of_a_web_server_is_copied_and_the_copy_removed(workplace: Workplace, served: str):
    import polars as pl

    pl.read_csv(csv_text(hours(50)).encode()).with_columns(pl.col("at").str.to_datetime(time_zone="UTC")).write_parquet(
        workplace.folder / "rides.parquet"
    )
    local = workplace.ingest(workplace.folder / "rides.parquet")
    remote = workplace.ingest(f"{served}/rides.parquet")
    assert (remote.ref.digest, remote.report.source_digest) == (local.ref.digest, local.report.source_digest)
    assert list(workplace.scratch.iterdir()) == []


def test_a_missing_page_is_a_missing_file(workplace: Workplace, served: str):
    with pytest.raises(SourceError, match=r"there is no file at http://127.0.0.1:\d+/nothing.csv"):
        workplace.ingest(f"{served}/nothing.csv")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "may not be read: its server answers 403: give credentials"),
        (503, "cannot be read: its server answers 503: try again later"),
        (410, "there is no file at"),
    ],
)
def test_what_a_web_server_refuses_is_not_called_a_missing_file(
    workplace: Workplace, served: str, status: int, message: str
):
    with pytest.raises(SourceError, match=message):
        workplace.ingest(f"{served}/status/{status}/rides.csv")


def test_a_web_server_that_is_not_there_or_keeps_silent_is_named(workplace: Workplace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(location, "SILENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/rides.csv"
        with pytest.raises(SourceError, match=r"rides.csv cannot be reached \(Timeout"):
            workplace.ingest(url)
    with pytest.raises(SourceError, match=r"rides.csv cannot be reached \(Cannot connect .* correct its address"):
        workplace.ingest(url)


def test_a_pipe_is_refused_before_anyone_waits_for_its_writer(workplace: Workplace):
    os.mkfifo(workplace.folder / "pipe.csv")
    with pytest.raises(SourceError, match="is a pipe or a device: write its content to a file first"):
        workplace.ingest(workplace.folder / "pipe.csv")
