"""Owns the making of obstore's clients, and what their errors mean to a person; `access` knows where and as whom."""

import os
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

from resources.errors import StoreError
from resources.storage.access import Access
from resources.storage.attempts import FIRST_PAUSE_S, LONGEST_PAUSE_S
from resources.storage.store import redact

if TYPE_CHECKING:
    from obstore.store import ClientConfig, MemoryStore, S3Store

MOST_TIMEOUTS = 4
"""Longest time of one request, and of all attempts, in times of silence that are allowed."""
_MEMORY: dict[str, "MemoryStore"] = {}
_LOCK = Lock()
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SHORTEST_SECRET = 12  # shorter values are words of a test server, found in many a URL


def memory(url: str) -> "MemoryStore":
    """Return the store in memory of that name."""
    from obstore.store import MemoryStore

    with _LOCK:
        return _MEMORY.setdefault(url.rstrip("/"), MemoryStore())


def s3(bucket: str, way: Access, *, timeout_s: float, retries: int) -> "S3Store":
    """Return a client of a bucket.

    Args:
        bucket: Its name.
        way: How to reach its server.
        timeout_s: Longest silence of the server within one request, in seconds.
        retries: How often the client itself sends a failed request again.

    Raises:
        StoreError: If what tells the way, or the certificates, cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    options: ClientConfig = {
        "allow_http": way.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=timeout_s),
        "timeout": timedelta(seconds=MOST_TIMEOUTS * timeout_s),
    }
    if way.certificates is not None:
        options["root_certificate"] = way.certificates
    try:
        return S3Store(
            bucket,
            **way.config,
            # The server compares it with what arrived. Not all compare the digest in the signature: SeaweedFS would
            # store a body with a flipped bit, and an empty one when the connection breaks, under a name that nobody
            # writes again.
            checksum_algorithm="SHA256",
            client_options=options,
            retry_config={
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=MOST_TIMEOUTS * timeout_s),
                "backoff": {
                    "init_backoff": timedelta(seconds=FIRST_PAUSE_S),
                    "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError) as error:
        raise StoreError(f"cannot reach bucket {bucket}: {first_line(error)}; check {way.told_by}") from None


def first_line(error: Exception) -> str:
    """Return what an error of the client says, without credentials."""
    text = redact(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    for name in _SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, f"<{name}>")
    return text


def remedy(error: Exception) -> str:
    """Return what a person may do about it."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if "RequestTimeTooSkewed" in str(error):
        return "set the clock of this machine, which differs from the server's by a quarter of an hour or more"
    # Listing reports a refusal as a generic error.
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "403 Forbidden" in str(error):
        return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of the key on this bucket"
    if "certificate" in str(error).lower():
        return "name the certificate of its authority, a PEM file, by AWS_CA_BUNDLE"
    return "check that the server is reachable (AWS_ENDPOINT_URL, AWS_REGION) and the bucket exists, then run again"
