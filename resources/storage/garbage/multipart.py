"""Owns the end of multipart uploads whose process was killed: S3 keeps their parts, and charges for them, for ever.

obstore cannot list them, so botocore does, through s3fs.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from resources.errors import StoreError
from resources.storage.store import redact

ORPHAN_S = 86_400.0
"""Age in seconds from which an upload counts as orphaned."""
_CONNECT_S, _READ_S, _ATTEMPTS = 5, 20, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that was begun and never completed.

    Attributes:
        key: Key in the bucket.
        upload_id: Its id.
        begun: When it began.
    """

    key: str
    upload_id: str
    begun: datetime


def orphans(url: str, *, older_than_s: float = ORPHAN_S, now: datetime | None = None) -> list[Upload]:
    """Return the unfinished uploads below the S3 URL of a store that began long ago; none of another kind of store.

    Raises:
        StoreError: If the server cannot be asked.
    """
    if not url.startswith("s3://"):
        return []
    before = (now or datetime.now(UTC)).timestamp() - older_than_s
    return [upload for upload in _unfinished(url) if upload.begun.timestamp() <= before]


def abort(url: str, upload: Upload) -> None:
    """Give up an unfinished upload; the server frees its parts.

    Raises:
        StoreError: If the server refuses.
    """
    _call(url, "abort_multipart_upload", Key=upload.key, UploadId=upload.upload_id)


def _unfinished(url: str) -> list[Upload]:
    prefix = urlsplit(url).path.strip("/")
    found: list[Upload] = []
    place: dict[str, str] = {}
    while True:
        page = _call(url, "list_multipart_uploads", Prefix=f"{prefix}/" if prefix else "", **place)
        found += [
            Upload(key=item["Key"], upload_id=item["UploadId"], begun=item["Initiated"])
            for item in page.get("Uploads") or ()
        ]
        if not page.get("IsTruncated"):
            return found
        place = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _call(url: str, operation: str, **arguments: str) -> dict[str, Any]:  # Any: botocore's answers
    import s3fs
    from botocore.exceptions import BotoCoreError, ClientError

    server: Any = s3fs.S3FileSystem(  # Any: s3fs has no types
        anon=bool(os.environ.get("AWS_SKIP_SIGNATURE")),
        config_kwargs={
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"total_max_attempts": _ATTEMPTS},
        },
    )
    try:
        return server.call_s3(operation, Bucket=urlsplit(url).netloc, **arguments)
    except (BotoCoreError, ClientError, OSError) as error:
        raise StoreError(
            f"cannot {operation.replace('_', ' ')} of store {redact(url)}: {type(error).__name__}; "
            "check the rights of the key on multipart uploads, then run again"
        ) from None
