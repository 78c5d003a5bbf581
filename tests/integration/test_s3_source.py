"""A raw file on a real S3 server: what is wrong there is told in one line, and nothing waits for ever."""

import pytest

from resources.errors import SourceError
from tests.integration.seaweed import BUCKET, Seaweed
from tests.resources.ingesting import Workplace, csv_text, hours, workplace

__all__ = ["workplace"]

pytestmark = pytest.mark.slow


@pytest.fixture
def source_url(s3_url: str, workplace: Workplace) -> str:
    """Return the URL of a CSV file on the server; no client remembers it."""
    import s3fs

    s3fs.S3FileSystem().pipe_file(f"{s3_url}/rides.csv", csv_text(hours(48)).encode())
    s3fs.S3FileSystem.clear_instance_cache()
    return f"{s3_url}/rides.csv"


def test_a_file_on_s3_gives_the_version_of_the_same_file_here(workplace: Workplace, source_url: str):
    local = workplace.ingest(workplace.file("rides.csv", csv_text(hours(48))))
    assert workplace.ingest(source_url).ref.digest == local.ref.digest


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "may not be read: give credentials that may read it"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "EndpointConnectionError.*: correct AWS_ENDPOINT_URL"),
    ],
)
def test_wrong_credentials_and_a_wrong_endpoint_are_named(
    workplace: Workplace, source_url: str, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, message: str
):
    monkeypatch.setenv(setting, value)
    with pytest.raises(SourceError, match=message) as error:
        workplace.ingest(source_url)
    assert "wrong" not in str(error.value)


def test_a_missing_file_and_a_missing_bucket_are_named(workplace: Workplace, source_url: str):
    for url in (f"{source_url}.gone.csv", "s3://no-such-bucket/rides.csv"):
        with pytest.raises(SourceError, match=f"there is no file at {url}"):
            workplace.ingest(url)


def test_a_frozen_server_is_an_error_not_a_hang(
    workplace: Workplace, source_url: str, seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 0.2)
    seaweed.freeze()
    try:
        with pytest.raises(SourceError, match=f"{BUCKET}.*cannot be read .*try again later"):
            workplace.ingest(source_url)
    finally:
        seaweed.thaw()
