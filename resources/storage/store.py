"""Owns the seam to the place where bytes live: the `Store` protocol and the choice of its implementation by URL.

It knows nothing of datasets, models or digests; a store maps keys (relative paths with `/`) to bytes.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from resources.errors import StoreError
from resources.storage.content import StoredFile

if TYPE_CHECKING:
    from resources.storage.folder import FolderStore
    from resources.storage.object_store import ObjectStore

ENCRYPTION = "encryption.json"
"""Key of what says that a store is encrypted: its wrapped data key."""
SCHEMES = ("file", "s3", "memory")
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")
_SEGMENT_BYTES = 255  # the longest file name of ext4, xfs and APFS


class Store(Protocol):
    """Maps keys to bytes; what is written once under a key by `create` or `upload` never changes.

    No reader ever sees half of a write. Every failure is a `StoreError` that names operation, key and store.
    """

    @property
    def url(self) -> str:
        """Where it is, safe to print: no credentials."""
        ...

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`; raise `ObjectMissing` where there are none."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write `data` if nothing lies under `key`, atomically; return False, changing nothing, if something does."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or replace the bytes under `key`, atomically; only for hints such as memos."""
        ...

    def get_range(self, key: str, start: int, end: int) -> memoryview:
        """Return the bytes under `key` from `start` to before `end`, fewer where it ends sooner."""
        ...

    def get_tagged(self, key: str) -> tuple[bytes, str]:
        """Return the bytes under `key` and a tag that tells this write from others, for `swap`."""
        ...

    def swap(self, key: str, data: bytes, *, tag: str | None) -> bool:
        """Replace the bytes under `key` if they still are those that `tag` came with; None means that there are none.

        Return False, changing nothing, if another writer was first. After a lost answer that may be this very call:
        compare the bytes where it matters.
        """
        ...

    def upload(self, key: str, path: Path) -> bool:
        """Like `create`, from a finished local file; `key` must name the content, and the file may be linked in.

        The caller may delete `path` afterwards but must not write to it again.
        """
        ...

    def exists(self, key: str) -> bool:
        """Return whether anything lies under `key`."""
        ...

    def size_bytes(self, key: str) -> int:
        """Return how many bytes lie under `key`; raise `ObjectMissing` where there are none."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below the folder `prefix`; an empty prefix means the whole store."""
        ...

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return key to bytes of what lies below the folder `prefix`, as sorted as `list`."""
        ...

    def stamps(self, prefix: str) -> dict[str, str]:
        """Return key to a text that changes when the bytes are replaced, of what `list` lists and at its price."""
        ...

    def folders(self, prefix: str) -> tuple[str, ...]:
        """Return the sorted names of the folders in the folder `prefix` that keys lie below, without listing those."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key` if it exists."""
        ...

    def local(self, file: StoredFile) -> Path:
        """Return a readable local copy of `file`, whose bytes the caller verifies.

        The path stays valid until `release_local` was called as often, or this process ends.
        """
        ...

    @property
    def has_copies(self) -> bool:
        """Whether what `local` fetches stays on this host for reads of parts, too."""
        ...

    def open_local(self, file: StoredFile) -> int | None:
        """Return a descriptor of the host's copy of `file`, to be verified and closed by the caller; None without one.

        Nothing is fetched, and what is open stays readable.
        """
        ...

    def landed(self, file: StoredFile, start: int, end: int) -> bytes | None:
        """Return bytes of `file` that a download to this host has fetched or is about to, to be verified; else None.

        No request is made for it.
        """
        ...

    def release_local(self, file: StoredFile) -> None:
        """Let go of one path that `local` returned; what is open or mapped stays readable."""
        ...

    def forget_local(self, file: StoredFile) -> bool:
        """Replace or drop a damaged copy; return False where there is none, because `local` is the store itself."""
        ...


def open_store(
    url: str,
    *,
    cache: Path,
    cache_bytes: int | None = None,
    encryption_key: Path | None = None,
    scratch: Path | None = None,
    profile: str | None = None,
) -> Store:
    """Return the store at `url`: a folder, `file://`, `s3://bucket/prefix` or `memory://name`.

    Args:
        url: Where the store is. Credentials come from the environment (`AWS_*`), never from the URL.
        cache: Folder for local copies of what a remote store holds, shared by all processes of the host.
        cache_bytes: Most bytes in that folder; None means half of what is free on its disk.
        encryption_key: File of the key of an encrypted store; None means that the store is not encrypted.
        scratch: Folder for unfinished ciphertext; beside the cache by default.
        profile: Profile of the AWS configuration to reach it by; None means the `AWS_*` variables.

    Raises:
        StoreError: If the URL is of another kind, or holds credentials, or it is the folder of an encrypted store and
            no key is given; a store elsewhere says so when it is first used.
    """
    behind = open_as_it_lies(
        url, cache=cache, cache_bytes=cache_bytes, profile=profile, refuse_encrypted=encryption_key is None
    )
    if encryption_key is None:
        return behind
    from resources.storage.encrypted import EncryptedStore

    return EncryptedStore(behind, key=encryption_key, scratch=scratch or cache.parent)


def encrypted_error(url: str) -> StoreError:
    """Return the error of an encrypted store that is opened without its key."""
    return StoreError(
        f"store {url} is encrypted: set PENSTOCK_ENCRYPTION_KEY (for a base store PENSTOCK_BASE_ENCRYPTION_KEY) to the "
        "file of its key"
    )


def open_as_it_lies(
    url: str,
    *,
    cache: Path,
    cache_bytes: int | None = None,
    profile: str | None = None,
    refuse_encrypted: bool = False,
) -> "FolderStore | ObjectStore":
    """Return the store at `url` with values as they lie there: of an encrypted store, ciphertext."""
    scheme = check_url(url)
    if scheme in ("s3", "memory"):
        from resources.storage.object_store import ObjectStore

        return ObjectStore(
            url, cache=cache, cache_bytes=cache_bytes, profile=profile, refuse_encrypted=refuse_encrypted
        )
    from resources.storage.folder import FolderStore

    store = FolderStore(Path(unquote(urlsplit(url).path)) if scheme == "file" and "://" in url else Path(url))
    with suppress(OSError):  # told by the first use
        if refuse_encrypted and (Path(store.url) / ENCRYPTION).exists():
            raise encrypted_error(store.url)
    return store


def check_url(url: str) -> str:
    """Return the scheme of a store URL, `file` for a plain path.

    Raises:
        StoreError: If no store can be opened by it, without repeating credentials that it may hold.
    """
    if "://" not in url:
        return "file"
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise StoreError(
            f"store URL {redact(parts._replace(query='', fragment='').geturl())} holds credentials or options: "
            "give only scheme, bucket and prefix, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if parts.scheme not in SCHEMES or (parts.scheme == "s3" and not parts.netloc):
        raise StoreError(f"no store at {url!r}: give a folder, s3://bucket/prefix, memory://name or file:///folder")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise StoreError(f"store URL {url!r} names the host {parts.netloc!r}: write file:///folder")
    return parts.scheme


def check_key(key: str) -> str:
    """Return `key` if it is a plain relative path.

    Raises:
        StoreError: If it could leave the store or cannot be a file name.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") or part.startswith(".") or len(part.encode()) > _SEGMENT_BYTES for part in parts):
        raise StoreError(f"{key!r} is no store key: use names without a leading dot, joined by '/', up to 255 bytes")
    if "\0" in key or "\\" in key:
        raise StoreError(f"{key!r} is no store key: it holds a NUL or a backslash")
    return key


def redact(text: str) -> str:
    """Return `text` without the user and password of any URL in it.

    >>> redact("cannot reach https://me:secret@host/path")
    'cannot reach https://host/path'
    """
    return _CREDENTIALS.sub("", text)
