"""Owns the place of raw files: which URL is read, how it is printed, its fingerprint, and how it is opened.

Any fsspec URL works, chained ones too. It parses no rows.
"""

import os
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from resources.canonical import digest_value
from resources.errors import PenstockError, SourceError
from resources.source.copies import private_copy
from resources.source.spec import Format, Source, guess_format

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")
_QUERY = re.compile(r"\?[^:\s]*")
_STAMPS = ("ETag", "etag", "CRC", "md5Hash", "Content-MD5", "Last-Modified", "LastModified", "last_modified", "mtime")
_PIECE_BYTES = 2**20
_REMEDIES = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "EndpointConnectionError": "correct AWS_ENDPOINT_URL, or try again later",
    "ConnectTimeoutError": "correct AWS_ENDPOINT_URL, or try again later",
    "ReadTimeoutError": "its server keeps silent: try again later",
}
_WEB = ("http://", "https://")
SILENCE_S = 60.0
"""So long may a web server keep silent; aiohttp alone would end any download after five minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSource:
    """Which file a source means on this machine.

    Attributes:
        url: fsspec URL, with `{partition}` still in it for a source of one file a partition.
        sample: Whether it is a generated look-alike, not the real data.
    """

    url: str
    sample: bool

    @property
    def templated(self) -> bool:
        """Whether each partition has its own file."""
        return "{partition}" in self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Tells whether a file changed, without reading it where the place keeps a stamp.

    Attributes:
        size_bytes: Its size, or None where the place does not tell.
        stamp: Entity tag, checksum or time of change; the digest of the content where there is none of them.
    """

    size_bytes: int | None
    stamp: str


def resolve(source: Source, *, scratch: Path | None = None) -> ResolvedSource:
    """Return which URL `source` means now: the setting, the declared URL, or the generated sample, in this order.

    Args:
        source: Declared source.
        scratch: Folder under which a sample is generated, once; None takes it from the settings. A sample of one file
            a partition is only named here: `resources.source.sample.partition_file` makes each.

    Raises:
        SourceError: If there is no URL, or the generator fails.
    """
    given = os.environ.get(source.url_env, "") if source.url_env else ""
    if given or source.url or source.sample is None:
        if not (given or source.url):
            raise SourceError(f"no file to read: set {source.url_env} to its URL or path")
        return ResolvedSource(url=given or source.url, sample=False)
    from resources.source.sample import sample_file, sample_template

    folder = scratch or _scratch_of_settings()
    made = sample_template(source, folder) if source.sample_rows else sample_file(source.sample, folder)
    return ResolvedSource(url=str(made), sample=True)


def file_url(url: str, partition: str | None) -> str:
    """Return the URL of the file that holds `partition`.

    Raises:
        SourceError: If `url` has a `{partition}` to fill in and there is no partition.
    """
    if "{partition}" not in url:
        return url
    if partition is None:
        raise SourceError(f"{redacted(url)} names one file a partition: give a partition")
    return url.replace("{partition}", partition)


def format_of(source: Source, url: str) -> Format:
    """Return the format of the file at `url`.

    Raises:
        SourceError: If neither the declaration nor the file name tells it.
    """
    form = source.format or guess_format(url)
    if form is None:
        raise SourceError(f"{redacted(url)} does not tell its format: declare format: csv, parquet, jsonl or arrow")
    return form


def redacted(url: str) -> str:
    """Return `url` without users, passwords and query strings, safe to print and to store.

    >>> redacted("zip://hour.csv::https://me:secret@example.org/bikes.zip?token=123")
    'zip://hour.csv::https://example.org/bikes.zip'
    """
    return _QUERY.sub("", _CREDENTIALS.sub("", url))


def fingerprint(url: str) -> Fingerprint:
    """Return the fingerprint of the file at `url`, fresh at every call; of a chained URL, that of its outermost file.

    Raises:
        SourceError: If there is no such file or it cannot be reached.
    """
    outer = url.rsplit("::", maxsplit=1)[-1]
    with plain_errors(url), _filesystem(outer) as (fs, path):
        info = _info(fs, path, url)
        size = info.get("size")
        stamps = {name: str(info[name]) for name in _STAMPS if info.get(name) is not None}
        if local := local_path(outer):
            stat = local.stat()
            stamps = {"mtime_ns": str(stat.st_mtime_ns), "inode": str(stat.st_ino)}
        stamp = digest_value(stamps) if stamps else _content_stamp(fs, path)
    return Fingerprint(size_bytes=None if size is None else int(size), stamp=stamp)


@contextmanager
def open_bytes(url: str, *, scratch: Path | None = None) -> Generator[IO[bytes]]:
    """Open the file at `url` for reading its bytes as they are, from start to end.

    Args:
        url: Any fsspec URL. An archive on a web server is fetched whole, as many servers give no parts of files.
        scratch: Folder for such an archive; None means the system's folder for temporary files.

    Raises:
        SourceError: If there is no such file, or it cannot be read, now or while the caller reads it.
    """
    with plain_errors(url), _fetched(url, scratch) as place, _filesystem(place) as (fs, path):
        _info(fs, path, url)
        with _opened(fs, path) as file:
            yield file


def local_path(url: str) -> Path | None:
    """Return the path of a plain local file, or None for anything else."""
    if "::" in url or ("://" in url and not url.startswith(("file://", "local://"))):
        return None
    return Path(re.sub(r"^(?:file|local)://", "", url)).expanduser()


@contextmanager
def plain_errors(url: str) -> Generator[None]:
    """Turn whatever a file system or an archive raises into a `SourceError` that names the file."""
    try:
        yield
    except PenstockError:
        raise
    except FileNotFoundError as error:
        raise SourceError(_missing(error, url)) from error
    except PermissionError as error:
        remedy = (
            "grant this user read access" if local_path(url) else "give credentials that may read it (AWS_* for S3)"
        )
        raise SourceError(f"{redacted(url)} may not be read: {remedy}") from error
    except ImportError as error:
        raise SourceError(f"{redacted(url)} needs a package that is not installed: {_brief(error)}") from error
    except Exception as error:  # fsspec's file systems raise whatever their client libraries do
        if _tells_damage(error):
            what, remedy = (
                f"is truncated or damaged ({_brief(error)})",
                "fetch it again, or correct the end of its name",
            )
        else:
            what = f"cannot be read ({type(error).__name__}: {_brief(error)})"
            remedy = _REMEDIES.get(type(error).__name__, "correct its URL, or try again")
        raise SourceError(f"{redacted(url)} {what}: {remedy}") from error


def _missing(error: FileNotFoundError, url: str) -> str:
    """Return what is to be said of a file that was not found; fsspec says so of whatever a web server answers."""
    if tells_absence(error):
        return f"there is no file at {redacted(url)}: correct the URL, or put the file there"
    status = _status(error)
    if status in (401, 403):
        return f"{redacted(url)} may not be read: its server answers {status}: give credentials that may read it"
    if status:
        return f"{redacted(url)} cannot be read: its server answers {status}: try again later, or correct the URL"
    cause = error.__cause__ or error
    return f"{redacted(url)} cannot be reached ({_brief(cause)}): correct its address, or try again later"


def tells_absence(error: FileNotFoundError) -> bool:
    """Return whether `error` tells that there is no file, and not that a web server refused or kept silent."""
    cause = error.__cause__
    return cause is None or not type(cause).__module__.startswith("aiohttp") or _status(error) in (404, 410)


def _status(error: FileNotFoundError) -> int | None:
    return getattr(error.__cause__, "status", None)


def _tells_damage(error: Exception) -> bool:
    import lzma
    import zipfile
    import zlib

    if isinstance(error, EOFError | zipfile.BadZipFile | zlib.error | lzma.LZMAError):
        return True
    # gzip, bz2 and pyarrow's zstd tell damage by an OSError that no system call failed with.
    return isinstance(error, OSError) and error.errno is None and type(error).__name__ in ("OSError", "BadGzipFile")


def _scratch_of_settings() -> Path:
    from resources.settings import load_settings

    return load_settings().scratch


@contextmanager
def _filesystem(url: str) -> Generator[tuple[Any, str]]:  # Any: fsspec has no types
    import fsspec

    fs, path = fsspec.url_to_fs(url, **patience(url))
    try:
        yield fs, path
    finally:
        _close(fs)


def patience(url: str) -> dict[str, Any]:  # Any: as above
    """Return options that let a server take its time for a large file, but not keep silent for ever."""
    schemes = [scheme for scheme in ("http", "https", "s3") if f"{scheme}://" in url]
    return {scheme: _s3_options() if scheme == "s3" else _web_options() for scheme in schemes}


def _web_options() -> dict[str, Any]:  # Any: as above
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


def _s3_options() -> dict[str, Any]:  # Any: as above
    from fsspec.config import conf

    # s3fs tries five times, and botocore five times in each of them: 15 s of silence become six minutes.
    given: dict[str, Any] = conf.get("s3", {}).get("config_kwargs", {})
    return {"config_kwargs": {"retries": {"total_max_attempts": 1}, **given}}


@contextmanager
def _fetched(url: str, scratch: Path | None) -> Generator[str]:
    """Return `url`, with an archive on a web server replaced by a local copy."""
    members, _, outer = url.rpartition("::")
    if not members or not outer.startswith(_WEB):
        yield url
        return
    with ExitStack() as stack:
        fs, remote = stack.enter_context(_filesystem(outer))
        file = stack.enter_context(_opened(fs, remote))
        yield f"{members}::{stack.enter_context(private_copy(file, scratch))}"


def _opened(fs: Any, path: str) -> Any:  # Any: as above
    """Return an open file, of a web server as one stream, since many give no parts of files."""
    return fs.open(path, "rb", block_size=0) if path.startswith(_WEB) else fs.open(path, "rb")


def _info(fs: Any, path: str, url: str) -> dict[str, Any]:  # Any: as above; each file system has its own fields
    fs.invalidate_cache()
    info = fs.info(path)
    if info.get("type") == "directory":
        raise SourceError(f"{redacted(url)} is a folder: name one file, or a template with {{partition}}")
    if info.get("type") == "other":  # to open a pipe waits for its writer
        raise SourceError(f"{redacted(url)} is a pipe or a device: write its content to a file first")
    return info


def _close(fs: Any) -> None:  # Any: as above
    """Close what an archive keeps open; other file systems keep nothing."""
    for name in ("zip", "tar", "fo"):
        inner = fs.__dict__.get(name)
        if hasattr(inner, "close"):
            inner.close()


def _content_stamp(fs: Any, path: str) -> str:  # Any: as above
    from blake3 import blake3

    hasher = blake3()
    with _opened(fs, path) as file:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def _brief(error: BaseException) -> str:
    return redacted(str(error)).partition("\n")[0][:200]
