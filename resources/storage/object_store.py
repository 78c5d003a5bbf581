"""Owns the store in S3 (or anything that speaks it) and its in-memory twin, both through obstore.

Every call is bounded: a frozen server is an error after about two minutes, never a hang. `memory://name` is one store
per name and process, for tests. Local copies are the cache's: `resources.storage.cache`.
"""

from collections.abc import Callable, Iterator
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from resources.errors import ObjectMissing, StoreError
from resources.storage.access import access
from resources.storage.attempts import Patience, attempted, is_final, status_of
from resources.storage.cache.cache import HostCache
from resources.storage.clients import MOST_TIMEOUTS, first_line, memory, remedy, s3
from resources.storage.content import StoredFile
from resources.storage.distance import Distance
from resources.storage.hedging import HEDGED_BYTES, hedged
from resources.storage.inflow import Flow
from resources.storage.remote_file import RemoteFile, cut_short
from resources.storage.store import ENCRYPTION, check_key, encrypted_error, redact

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode
    from obstore.store import MemoryStore, S3Store

    Client = MemoryStore | S3Store

PART_BYTES = 16 * 2**20
CONCURRENT_PARTS = 4
_CREATE_BYTES = 8 * 2**20  # up to here one conditional request; above, a multipart upload
_ONCE = Patience(retries=0, total_s=0)  # where the client itself repeats each page or part
_BEYOND_END = 416
R = TypeVar("R")


class ObjectStore:
    """A store in an S3 bucket, or in the memory of this process.

    Args:
        url: `s3://bucket/prefix` or `memory://name`. Credentials, region and endpoint come from `AWS_*` variables,
            or from the profile that botocore finds.
        cache: Folder for local copies, shared by all stores and processes of the host.
        cache_bytes: Most bytes in that folder; None means half of what is free on its disk.
        timeout_s: Longest silence of the server within one request, in seconds.
        retries: How often a failed request is sent again.
        profile: Profile of the AWS configuration to use whatever the environment says; None means the environment.
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
        profile: str | None = None,
        refuse_encrypted: bool = False,
    ) -> None:
        parts = urlsplit(url)
        is_s3 = parts.scheme == "s3"
        self._url = redact(url).rstrip("/") if parts.netloc else url
        self._prefix = parts.path.strip("/") + "/" if is_s3 and parts.path.strip("/") else ""
        self._cache = HostCache(cache, budget_bytes=cache_bytes)
        way = once(lambda: access(profile))  # both clients go by it, and asking a profile takes long
        self._open: Callable[[int], Client] = lambda again: (
            s3(parts.netloc, way(), timeout_s=timeout_s, retries=again) if is_s3 else memory(url)
        )
        self._retries = retries
        self._patience = Patience(retries=retries, total_s=MOST_TIMEOUTS * timeout_s) if is_s3 else _ONCE
        self._is_s3 = is_s3
        self._refuse_encrypted = refuse_encrypted
        self._distance = Distance()
        self._client: Client | None = None
        self._repeating: Client | None = None

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

        return self._done(
            "read", key, lambda client: bytes(self._distance.timed(lambda: obstore.get(client, self._key(key))).bytes())
        )

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` by a conditional request; return False if the key exists.

        After a lost answer that may be by this very call: compare the bytes where it matters.
        """
        return self._done("create", key, lambda client: self._put_if(client, key, data, "create"), passes=_any_generic)

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the bytes under `key`."""
        import obstore

        def send(client: "Client") -> None:
            obstore.put(client, self._key(key), data, use_multipart=False)

        self._done("write", key, send, passes=_any_generic)

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and their entity tag."""
        import obstore

        def send(client: "Client") -> tuple[bytes, str]:
            found = obstore.get(client, self._key(key))
            return bytes(found.bytes()), found.meta["e_tag"] or ""

        return self._done("read", key, send)

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Replace the bytes under `key` by a request that the server refuses if their entity tag changed."""
        mode: PutMode = "create" if tag is None else {"e_tag": tag}
        return self._done("replace", key, lambda client: self._put_if(client, key, data, mode), passes=_any_generic)

    def upload(self, key: str, path: Path) -> bool:
        """Upload `path`, in parts where it is large; racing writers of one key write equal bytes."""
        import obstore

        if path.stat().st_size <= _CREATE_BYTES:
            return self.create(key, path.read_bytes())
        if self.exists(key):
            return False

        def send(_: "Client") -> None:
            place = self._key(key)
            obstore.put(self._repeats(), place, path, chunk_size=PART_BYTES, max_concurrency=CONCURRENT_PARTS)

        self._done("create", key, send, patience=_ONCE)
        return True

    def exists(self, key: str) -> bool:
        """Return whether `key` exists."""
        try:
            self.size_bytes(key)
        except ObjectMissing:
            return False
        return True

    def exists_durably(self, key: str) -> bool:
        """Return whether `key` exists: what a server has told to hold is durable."""
        return self.exists(key)

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`."""
        import obstore

        return self._done("look up", key, lambda client: obstore.head(client, self._key(key))["size"])

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what lies below the folder `prefix`."""
        return {key: item["size"] for key, item in self._listed(prefix)}

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to entity tag of what lies below the folder `prefix`."""
        return {key: item["e_tag"] or "" for key, item in self._listed(prefix)}

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders in the folder `prefix`; what lies in them is not listed."""
        import obstore

        def send(_: "Client") -> tuple[str, ...]:
            found = obstore.list_with_delimiter(self._repeats(), self._folder(prefix))["common_prefixes"]
            return tuple(sorted(str(name).rstrip("/").rpartition("/")[2] for name in found))

        return self._done("list", prefix, send, patience=_ONCE)

    def _listed(self, prefix: str) -> "list[tuple[str, ObjectMeta]]":
        import obstore

        def send(_: "Client") -> "list[tuple[str, ObjectMeta]]":
            pages = obstore.list(self._repeats(), self._folder(prefix))
            return [(str(item["path"])[len(self._prefix) :], item) for page in pages for item in page]

        return sorted(self._done("list", prefix, send, patience=_ONCE), key=lambda one: one[0])

    def _folder(self, prefix: str) -> str | None:
        return (self._key(prefix.rstrip("/")) if prefix.rstrip("/") else self._prefix.rstrip("/")) or None

    def delete(self, key: str) -> None:
        """Remove `key` if it exists."""
        import obstore

        def send(client: "Client") -> None:
            try:
                obstore.delete(client, self._key(key))
            except FileNotFoundError:  # S3 itself does not mind, the memory store does
                return

        self._done("delete", key, send)

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`."""
        data = (self._raced if end - start >= HEDGED_BYTES else self.fetch)(key, start, end)
        self._cache.count_often(range_reads=1, range_bytes=len(data))
        return data

    def fetch(self, key: str, start: int, end: int) -> memoryview:
        """Do the same for the cache, which counts what it fetches, and asks again for what comes late, itself."""
        return self._done("fetch", key, lambda client: self._range(client, key, start, end))

    def flow(self, file: StoredFile) -> Flow:
        """Return `file` as it is fetched into memory."""
        return RemoteFile(self, file, is_far=self._distance.is_far)

    def stream(
        self, file: StoredFile, land: Callable[[int, Iterator[memoryview]], None], landed: Callable[[], int], end: int
    ) -> None:
        """Give `land` the pieces of `file` from the byte `landed()` on, until that is `end`; see `Flow`."""
        import obstore

        def send(client: "Client") -> None:
            start = landed()
            if start >= end:  # another stream was quicker
                return
            asked: GetOptions = {"range": (start, end)}
            found = self._distance.timed(lambda: obstore.get(client, self._key(file.key), options=asked))
            if found.meta["size"] != file.size_bytes:
                raise cut_short(self.url, file, found.meta["size"])
            land(start, (memoryview(piece) for piece in found.stream(min_chunk_size=1)))
            if landed() < end:
                raise ConnectionError(f"the answer ended at byte {landed():,}, expected {end:,}")

        self._done("fetch", file.key, send, passes=_may_pass_or_go_on)

    def local(self, file: StoredFile) -> Path:
        """Return the host's copy of `file`, fetched on first use and leased to this process."""
        return self._cache.lease(file.digest, RemoteFile(self, file))

    @property
    def has_copies(self) -> bool:
        """True: they are in the host's cache."""
        return True

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the host's copy of `file`, or None."""
        return self._cache.open(file.digest, file.size_bytes)

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return bytes of `file` that a download of this host has fetched or is about to, or None."""
        return self._cache.landed(file.digest, file.size_bytes, start, end)

    def release_local(self, file: StoredFile) -> None:
        """Give back one lease of the host's copy."""
        self._cache.release(file.digest)

    def forget_local(self, file: StoredFile) -> bool:
        """Put a good copy of `file` in the place of the host's if that is damaged."""
        self._cache.mend(file.digest, RemoteFile(self, file))
        return True

    def _range(self, client: "Client", key: str, start: int, end: int) -> memoryview:
        import obstore
        from obstore.exceptions import GenericError

        place = self._key(key)
        try:
            return memoryview(obstore.get_range(client, place, start=start, end=end))
        except GenericError as error:
            # A range that begins at or behind the end is refused, as one of an object that was cut.
            if self._is_s3 and status_of(error) != _BEYOND_END:
                raise
            if obstore.head(client, place)["size"] > start:
                raise
            return memoryview(b"")

    def _raced(self, key: str, start: int, end: int) -> memoryview:
        answer = hedged(self._cache.hedging, end - start, lambda: self.fetch(key, start, end))
        if answer.hedges:
            self._cache.count(hedges=answer.hedges, hedges_won=answer.hedges_won)
        return answer.value

    def _put_if(self, client: "Client", key: str, data: bytes, mode: "PutMode") -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            obstore.put(client, self._key(key), data, mode=mode)
        except (AlreadyExistsError, PreconditionError):
            return False
        except FileNotFoundError:
            if mode == "create":  # what is missing is the bucket
                raise StoreError(
                    f"cannot create {key} in store {self._url}: there is no such bucket; make it, or check "
                    "PENSTOCK_STORE"
                ) from None
            return False
        return True

    def _done(
        self,
        operation: str,
        key: str,
        send: Callable[["Client"], R],
        *,
        patience: Patience | None = None,
        passes: Callable[[Exception], bool] | None = None,
    ) -> R:
        """Send a request as often as patience allows, and explain in our words why it failed."""
        from obstore.exceptions import BaseError

        attempts = 1

        def again() -> None:
            nonlocal attempts
            attempts += 1
            self._cache.count(retries=1)

        try:
            client = self._store()
            return attempted(lambda: send(client), patience or self._patience, passes=passes or _may_pass, again=again)
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise ObjectMissing(
                    f"no object {key} in store {self._url}: check PENSTOCK_STORE, or make it again"
                ) from None
            tried = f" ({attempts} attempts)" if attempts > 1 else ""
            # `from None`: the client's own text may repeat an endpoint with credentials.
            raise StoreError(
                f"cannot {operation} {key} in store {self._url}{tried}: {first_line(error)}; {remedy(error)}"
            ) from None

    def _store(self) -> "Client":
        """Return the client that sends each request once."""
        if self._client is None:
            client = self._open(0)
            if self._refuse_encrypted and self._holds(client, ENCRYPTION):
                raise encrypted_error(self._url)
            self._client = client
        return self._client

    def _repeats(self) -> "Client":
        """Return the client that repeats requests itself, for calls that are many requests."""
        if self._repeating is None:
            self._repeating = self._open(self._retries)
        return self._repeating

    def _holds(self, client: "Client", key: str) -> bool:
        import obstore

        try:
            attempted(
                lambda: obstore.head(client, self._key(key)),
                self._patience,
                passes=_may_pass,
                again=lambda: self._cache.count(retries=1),
            )
        except FileNotFoundError:
            return False
        return True

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)


def _any_generic(error: Exception) -> bool:
    """Return whether a write may succeed the next time: its body may have been hurt on the way, which is a 400."""
    from obstore.exceptions import GenericError

    return isinstance(error, GenericError)


def _may_pass_or_go_on(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or _may_pass(error)


def _may_pass(error: Exception) -> bool:
    return _any_generic(error) and not is_final(error)
