"""Owns the store in S3 (or anything that speaks it) and its in-memory twin, both through obstore.

Every call is bounded: a frozen server is an error after about two minutes, never a hang. `memory://name` is one store
per name and process, for tests. Local copies are the cache's: `resources.storage.cache`.
"""

import os
import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.storage.cache.cache import HostCache
from resources.storage.content import StoredFile
from resources.storage.store import ENCRYPTION, check_key, encrypted_error, redact

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import MemoryStore, S3Store

PART_BYTES = 16 * 2**20
CONCURRENT_PARTS = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_CREATE_BYTES = 8 * 2**20  # up to here one conditional request; above, a multipart upload
_MEMORY: dict[str, "MemoryStore"] = {}
_LOCK = Lock()
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SHORTEST_SECRET = 12  # shorter values are words of a test server, found in many a URL


class ObjectStore:
    """A store in an S3 bucket, or in the memory of this process.

    Args:
        url: `s3://bucket/prefix` or `memory://name`. Credentials, region and endpoint come from `AWS_*` variables,
            or from the profile that botocore finds.
        cache: Folder for local copies, shared by all stores and processes of the host.
        cache_bytes: Most bytes in that folder; None means half of what is free on its disk.
        timeout_s: Longest silence of the server within one request, in seconds.
        retries: How often a failed request is sent again.
        refuse_encrypted: Whether to look, once before the first use, that the store is not an encrypted one.
    """

    def __init__(
        self,
        url: str,
        *,
        cache: Path,
        cache_bytes: int | None = None,
        timeout_s: float = 20.0,
        retries: int = 3,
        refuse_encrypted: bool = False,
    ) -> None:
        parts = urlsplit(url)
        self._url = redact(url).rstrip("/") if parts.netloc else url
        self._prefix = parts.path.strip("/") + "/" if parts.scheme == "s3" and parts.path.strip("/") else ""
        self._cache = HostCache(cache, budget_bytes=cache_bytes)
        self._open: Callable[[], MemoryStore | S3Store] = (
            (lambda: _memory(url)) if parts.scheme == "memory" else (lambda: _s3(parts.netloc, timeout_s, retries))
        )
        self._retries = retries
        self._refuse_encrypted = refuse_encrypted
        self._client: MemoryStore | S3Store | None = None

    @property
    def url(self) -> str:
        """The URL without credentials."""
        return self._url

    @property
    def cache(self) -> HostCache:
        """The cache that `local` serves from."""
        return self._cache

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`."""
        import obstore

        with self._explained("read", key):
            return bytes(obstore.get(self._store(), self._key(key)).bytes())

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` by a conditional request; return False if the key exists.

        After a lost answer that may be by this very call: compare the bytes where it matters.
        """
        with self._explained("create", key):
            return self._put_if(key, data, "create")

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the bytes under `key`."""
        import obstore

        with self._explained("write", key):
            obstore.put(self._store(), self._key(key), data, use_multipart=False)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and their entity tag."""
        import obstore

        with self._explained("read", key):
            found = obstore.get(self._store(), self._key(key))
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Replace the bytes under `key` by a request that the server refuses if their entity tag changed."""
        with self._explained("replace", key):
            return self._put_if(key, data, "create" if tag is None else {"e_tag": tag})

    def upload(self, key: str, path: Path) -> bool:
        """Upload `path`, in parts where it is large; racing writers of one key write equal bytes."""
        import obstore

        if path.stat().st_size <= _CREATE_BYTES:
            return self.create(key, path.read_bytes())
        if self.exists(key):
            return False
        with self._explained("create", key):
            obstore.put(self._store(), self._key(key), path, chunk_size=PART_BYTES, max_concurrency=CONCURRENT_PARTS)
        return True

    def exists(self, key: str) -> bool:
        """Return whether `key` exists."""
        import obstore

        try:
            with self._explained("look up", key):
                obstore.head(self._store(), self._key(key))
        except ObjectMissing:
            return False
        return True

    def exists_durably(self, key: str) -> bool:
        """Return whether `key` exists: what a server has told to hold is durable."""
        return self.exists(key)

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`."""
        import obstore

        with self._explained("look up", key):
            return obstore.head(self._store(), self._key(key))["size"]

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what lies below the folder `prefix`."""
        import obstore

        folder = self._key(prefix.rstrip("/")) if prefix.rstrip("/") else self._prefix.rstrip("/")
        with self._explained("list", prefix):
            pages = obstore.list(self._store(), folder or None)
            return dict(
                sorted((str(item["path"])[len(self._prefix) :], item["size"]) for page in pages for item in page)
            )

    def delete(self, key: str) -> None:
        """Remove `key` if it exists."""
        import obstore

        with self._explained("delete", key):
            try:
                obstore.delete(self._store(), self._key(key))
            except FileNotFoundError:  # S3 itself does not mind, the memory store does
                return

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`."""
        import obstore
        from obstore.exceptions import GenericError

        with self._explained("fetch", key):
            try:
                return memoryview(obstore.get_range(self._store(), self._key(key), start=start, end=end))
            except GenericError:
                # A range that begins at or behind the end is refused, as one of an object that was cut.
                if obstore.head(self._store(), self._key(key))["size"] > start:
                    raise
                return memoryview(b"")

    def local(self, file: StoredFile) -> Path:
        """Return the host's copy of `file`, fetched on first use and leased to this process."""
        return self._cache.lease(file.digest, _Remote(self, file))

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the host's copy of `file`, or None."""
        return self._cache.open(file.digest)

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return bytes of `file` that a download of this host has fetched or is about to, or None."""
        return self._cache.landed(file.digest, file.size_bytes, start, end)

    def release_local(self, file: StoredFile) -> None:
        """Give back one lease of the host's copy."""
        self._cache.release(file.digest)

    def forget_local(self, file: StoredFile) -> bool:
        """Put a good copy of `file` in the place of the host's if that is damaged."""
        self._cache.mend(file.digest, _Remote(self, file))
        return True

    def _put_if(self, key: str, data: bytes, mode: "PutMode") -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        # obstore sends a conditional request once only, since an answer may get lost on the way.
        for attempt in range(self._retries + 1):
            try:
                obstore.put(self._store(), self._key(key), data, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError:
                if mode == "create":  # what is missing is the bucket
                    raise StoreError(
                        f"cannot create {key} in store {self._url}: there is no such bucket; make it, or check "
                        "PENSTOCK_STORE"
                    ) from None
                return False
            except GenericError:
                if attempt == self._retries:
                    raise
                self._cache.count(retries=1)
                time.sleep(min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.5))
            else:
                break
        return True

    def _store(self) -> "MemoryStore | S3Store":
        if self._client is None:
            client = self._open()
            if self._refuse_encrypted and self._holds(client, ENCRYPTION):
                raise encrypted_error(self._url)
            self._client = client
        return self._client

    def _holds(self, client: "MemoryStore | S3Store", key: str) -> bool:
        import obstore

        try:
            obstore.head(client, self._key(key))
        except FileNotFoundError:
            return False
        return True

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    @contextmanager
    def _explained(self, operation: str, key: str) -> Generator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise ObjectMissing(
                    f"no object {key} in store {self._url}: check PENSTOCK_STORE, or make it again"
                ) from None
            # `from None`: the client's own text may repeat an endpoint with credentials.
            raise StoreError(
                f"cannot {operation} {key} in store {self._url}: {_first_line(error)}; {_remedy(error)}"
            ) from None


class _Remote:
    """One file of a store, as the cache fetches it."""

    def __init__(self, store: ObjectStore, file: StoredFile) -> None:
        self._store = store
        self._file = file

    @property
    def name(self) -> str:
        return f"file {self._file.digest} in store {self._store.url}"

    @property
    def size_bytes(self) -> int:
        return self._file.size_bytes

    def read(self, start: int, end: int) -> memoryview:
        data = self._store.get_range(self._file.key, start, end)
        if len(data) != end - start and (found := self._store.size_bytes(self._file.key)) != self._file.size_bytes:
            raise IntegrityError(
                f"{self.name} was altered: it has {found:,} bytes there, its manifest says {self._file.size_bytes:,}; "
                f"delete {self._file.key} there and make it again, or restore it from a backup"
            )
        return data


def _memory(url: str) -> "MemoryStore":
    from obstore.store import MemoryStore

    with _LOCK:
        return _MEMORY.setdefault(url.rstrip("/"), MemoryStore())


def _s3(bucket: str, timeout_s: float, retries: int) -> "S3Store":
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
            "timeout": timedelta(seconds=4 * timeout_s),
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=4 * timeout_s),
            "backoff": {
                "init_backoff": timedelta(seconds=_FIRST_PAUSE_S),
                "max_backoff": timedelta(seconds=_LONGEST_PAUSE_S),
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


def _first_line(error: Exception) -> str:
    text = redact(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    for name in _SECRETS:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, f"<{name}>")
    return text


def _remedy(error: Exception) -> str:
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if "RequestTimeTooSkewed" in str(error):
        return "set the clock of this machine, which differs from the server's by a quarter of an hour or more"
    # Listing reports a refusal as a generic error.
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "403 Forbidden" in str(error):
        return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of the key on this bucket"
    return "check that the server is reachable (AWS_ENDPOINT_URL, AWS_REGION) and the bucket exists, then run again"
