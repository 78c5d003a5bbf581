"""Owns what a look at a source sees of its files: one listing a look, a stamp of each file, a digest of its bytes.

It reads no rows and remembers nothing; `resources.source.watch` compares one look with the one before.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from resources.canonical import digest_file, digest_value
from resources.source.location import patience, tells_absence

PLACE = "{partition}"
STAMP_DIGITS = 12
DIGEST_DIGITS = 16
CHEAP_REMOTE_BYTES = 64 * 2**20
"""Largest remote file that is fetched only to learn whether its bytes changed; a larger one goes by its stamp."""
PROBED_KEYS = 200
"""Newest partitions asked for one by one where a server lists nothing."""

_CHECKSUMS = ("ETag", "etag", "md5Hash", "Content-MD5", "content_md5", "CRC", "sha")
_TIMES = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified", "modify", "created", "ino")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file as a look saw it.

    Attributes:
        url: Where it lies; may hold credentials, so it is never printed.
        stamp: Changes whenever the file does, and sometimes without; empty where the server tells too little.
        size_bytes: Its size, or None where the server does not tell.
        modified_at: Seconds since the epoch by this machine's clock, or None for a remote file.
        local: The file itself where it lies on this machine.
        checksum: Checksum of its bytes that the listing gave, or empty.
    """

    url: str
    stamp: str
    size_bytes: int | None
    modified_at: float | None = None
    local: Path | None = None
    checksum: str = ""


def watched_url(url: str) -> str:
    """Return the part of a chained template that changes with the partition and can be listed.

    >>> watched_url("zip://hour.csv::s3://bikes/{partition}.zip"), watched_url("zip://{partition}.csv::/data/all.zip")
    ('s3://bikes/{partition}.zip', 'zip://{partition}.csv::/data/all.zip')
    """
    links = url.split("::")
    last = max(index for index, link in enumerate(links) if PLACE in link)
    return "::".join(links[last:])


def files_of(template: str, keys: Sequence[str]) -> dict[str, SourceFile]:
    """Return the files that exist for `template`, by what stands at `{partition}`, from one listing.

    A web server lists nothing, so there the newest of `keys` are asked for one by one.
    """
    url = watched_url(template)
    if url.startswith(("http://", "https://")):
        return _probe(url, keys[-PROBED_KEYS:])
    system, path = _system(url)
    pattern, shape = _pattern(path)
    found: dict[str, SourceFile] = {}
    for name, listed in _listing(system, pattern).items():
        match = shape.fullmatch(name)
        # A listing tells the type and the times of a link, not of the file it names.
        info = _followed(system, name) if listed.get("islink") else listed
        if match and info.get("type") == "file":
            key = match["key"]
            found[key] = _file(system, url.replace(PLACE, key), name, info)
    return found


def file_at(url: str) -> SourceFile:
    """Return the file at `url`.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If its file system does not answer.
    """
    outer = url.rsplit("::", maxsplit=1)[-1]
    system, path = _system(outer)
    return _file(system, url, path, system.info(path))


def content_digest(file: SourceFile) -> str:
    """Return a digest of the bytes of `file`; of its stamp, where fetching it only for this would be dear."""
    if file.checksum:
        return file.checksum
    if file.local is not None:
        return digest_file(file.local)[:DIGEST_DIGITS]
    if file.stamp and (file.size_bytes is None or file.size_bytes > CHEAP_REMOTE_BYTES):
        return f"~{file.stamp}"
    return _digest_remote(file.url)


def _probe(url: str, keys: Sequence[str]) -> dict[str, SourceFile]:
    found: dict[str, SourceFile] = {}
    for key in keys:
        try:
            found[key] = file_at(url.replace(PLACE, key))
        except FileNotFoundError as error:
            if not tells_absence(error):
                raise
    return found


def _system(url: str) -> tuple[Any, str]:  # Any: fsspec is untyped
    """Return the file system of `url`, with nothing remembered of earlier listings, and the path in it."""
    from fsspec.core import url_to_fs

    last = url.rsplit("::", maxsplit=1)[-1]
    inner, path = url_to_fs(last, **patience(last))
    inner.invalidate_cache()
    return url_to_fs(url, **patience(url)) if "::" in url else (inner, path)


def _listing(system: Any, pattern: str) -> Mapping[str, Any]:  # Any: fsspec is untyped
    try:
        return system.glob(pattern, detail=True)
    except FileNotFoundError:  # some file systems say so of a folder that does not exist yet
        return {}


def _followed(system: Any, path: str) -> Mapping[str, Any]:  # Any: fsspec is untyped
    try:
        return system.info(path)
    except FileNotFoundError:
        return {}


def _pattern(path: str) -> tuple[str, re.Pattern[str]]:
    """Return the glob pattern and the regular expression of a path that holds `{partition}` once or more."""
    first, *rest = path.split(PLACE)
    pattern = "*".join(glob.escape(part) for part in (first, *rest))
    shape = re.escape(first) + "(?P<key>[^/]+)" + "(?P=key)".join(re.escape(part) for part in rest)
    return pattern, re.compile(shape)


def _file(system: Any, url: str, path: str, info: Mapping[str, Any]) -> SourceFile:  # Any: fsspec is untyped
    local = Path(path) if "file" in _protocols(system) else None
    facts = {name: _text(info[name]) for name in _CHECKSUMS if info.get(name)}
    facts = facts or {name: _text(info[name]) for name in _TIMES if info.get(name) is not None}
    size = info.get("size")
    crc = info.get("CRC")
    return SourceFile(
        url=url,
        stamp=digest_value({**facts, "size": size, "url": url})[:STAMP_DIGITS] if facts else "",
        size_bytes=size,
        modified_at=info.get("mtime") if local is not None else None,
        local=local,
        checksum=f"crc{crc:08x}{size:x}" if isinstance(crc, int) and size is not None else "",
    )


def _protocols(system: Any) -> tuple[str, ...]:  # Any: fsspec is untyped
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _digest_remote(url: str) -> str:
    import fsspec
    from blake3 import blake3

    hasher = blake3()
    with fsspec.open(url, "rb", expand=False, **patience(url)) as stream:
        while block := stream.read(2**20):  # type: ignore[union-attr]
            hasher.update(block)
    return hasher.hexdigest()[:DIGEST_DIGITS]
