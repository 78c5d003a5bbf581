"""Owns the S3 server's side of the storage benchmarks: bucket, cache, and files of random bytes in it."""

import os
import secrets
from pathlib import Path
from typing import Any

BUCKET = "penstock-test"
RANGE_BYTES = 8 * 2**20


def store_at(folder: Path) -> Any:  # Any: imported by the processes that need it
    """Return the store in the bucket, with its cache in `folder`."""
    from resources.storage.object_store import ObjectStore

    return ObjectStore(f"s3://{BUCKET}", cache=folder / "cache", cache_bytes=10**11)


def bucket() -> Any:  # Any: as above
    """Return the bucket as obstore sees it."""
    from obstore.store import S3Store

    return S3Store(BUCKET, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True})


def named(name: str) -> Any:  # Any: as above
    """Return the file that `name` tells: digest, MD5 and size, joined by colons."""
    from resources.storage.content import StoredFile

    digest, md5, size_bytes = name.split(":")
    return StoredFile(digest=digest, md5=md5, size_bytes=int(size_bytes))


def put(size_bytes: int, folder: Path) -> str:
    """Upload random bytes and return their name."""
    from resources.storage.files import put_file

    file = folder / "object"
    with file.open("wb") as target:
        for start in range(0, size_bytes, RANGE_BYTES):
            target.write(secrets.token_bytes(min(RANGE_BYTES, size_bytes - start)))
    try:
        stored = put_file(store_at(folder), file)
        return f"{stored.digest}:{stored.md5}:{stored.size_bytes}"
    finally:
        file.unlink()
