"""Owns the making of obstore's clients, and what their errors mean to a person."""

import os
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from resources.errors import StoreError
from resources.storage.attempts import FIRST_PAUSE_S, LONGEST_PAUSE_S
from resources.storage.store import redact

if TYPE_CHECKING:
    from obstore.store import MemoryStore, S3Store

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


def s3(bucket: str, *, timeout_s: float, retries: int) -> "S3Store":
    """Return a client of a bucket; credentials, region and endpoint come from `AWS_*` variables or a profile.

    Args:
        bucket: Its name.
        timeout_s: Longest silence of the server within one request, in seconds.
        retries: How often the client itself sends a failed request again.

    Raises:
        StoreError: If there are no credentials.
    """
    from obstore.store import S3Store

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    config: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}  # Any: obstore's TypedDicts
    if not os.environ.get("AWS_ACCESS_KEY_ID") and not os.environ.get("AWS_SKIP_SIGNATURE"):
        config |= _profile()
    return S3Store(
        bucket,
        **config,
        # The server compares it with what arrived. Not all compare the digest in the signature: SeaweedFS would store a
        # body with a flipped bit, and an empty one when the connection breaks, under a name that nobody writes again.
        checksum_algorithm="SHA256",
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=timeout_s),
            "timeout": timedelta(seconds=MOST_TIMEOUTS * timeout_s),
        },
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


def _profile() -> dict[str, Any]:
    """Return what botocore finds in profiles, SSO and instance roles."""
    from botocore.session import Session

    session = Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise StoreError("no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + timedelta(minutes=5),
        }

    region = session.get_config_variable("region")
    return {"credential_provider": provide} | ({"region": region} if region else {})


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
    return "check that the server is reachable (AWS_ENDPOINT_URL, AWS_REGION) and the bucket exists, then run again"
