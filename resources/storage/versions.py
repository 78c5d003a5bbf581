"""Owns what a version is made of: the files that a dataset, a model bundle, a folder or a single object consists of.

It knows the manifests (`resources.storage.manifest` of datasets, `resources.storage.folders` of raw files, the one of
bundles here) and nothing of what the files mean.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resources.canonical import canonical_json, parse_json
from resources.errors import IntegrityError
from resources.storage.compressed import CODECS
from resources.storage.content import StoredFile
from resources.storage.folders import KIND as FOLDER
from resources.storage.folders import read_folder
from resources.storage.manifest import COMPRESSED_FORMAT, FORMATS, Encoding, Shards, manifest_of
from resources.storage.manifest import KIND as DATASET
from resources.storage.objects import get_object
from resources.storage.store import Store

BUNDLE = "bundle"
BUNDLE_FORMAT = 2
_DATASET_STARTS = (
    f'{{"format":{FORMATS["parquet"]},"kind":"{DATASET}",'.encode(),
    f'{{"encoding":"arrow","format":{FORMATS["arrow"]},"kind":"{DATASET}",'.encode(),
    *(
        f'{{"codec":"{codec}","encoding":"arrow","format":{COMPRESSED_FORMAT},"kind":"{DATASET}",'.encode()
        for codec in CODECS
    ),
)
_SHARD_DIGITS = 5

VersionKind = Literal["dataset", "model", "folder", "object"]
_KINDS: dict[object, VersionKind] = {DATASET: "dataset", BUNDLE: "model", FOLDER: "folder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable version: an object in the store, and the files that it names.

    Attributes:
        digest: Digest of the manifest, or of the object itself.
        kind: Dataset, model, folder of raw files, or a single object such as a report or a profile.
        files: File name to stored file: of a folder its archives and large files; empty for a single object.
        size_bytes: Bytes of all files, or of the single object.
    """

    digest: str
    kind: VersionKind
    files: Mapping[str, StoredFile]
    size_bytes: int


def version(store: Store, digest: str) -> Version:
    """Return what the version `digest` is made of.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered, or is a manifest of another format.
    """
    data = get_object(store, digest)
    match kind_of(data):
        case "dataset":
            made = manifest_of(store, digest, data)
            return Version(
                digest=digest, kind="dataset", files=ShardFiles(made.shards, made.encoding), size_bytes=made.size_bytes
            )
        case "model":
            return _of_files(digest, "model", bundle_files(store, digest))
        case "folder":
            return _of_files(digest, "folder", read_folder(store, digest).stored)
        case _:
            return Version(digest=digest, kind="object", files={}, size_bytes=len(data))


def _of_files(digest: str, kind: VersionKind, files: Mapping[str, StoredFile]) -> Version:
    return Version(digest=digest, kind=kind, files=files, size_bytes=sum(file.size_bytes for file in files.values()))


def kind_of_version(store: Store, digest: str) -> VersionKind:
    """Return what kind of version `digest` names.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered.
    """
    return kind_of(get_object(store, digest))


def kind_of(data: bytes) -> VersionKind:
    """Return what kind of version an object is the manifest of."""
    if data.startswith(_DATASET_STARTS):  # one of 100,000 shards takes a while to parse, and `format` comes first in it
        return "dataset"
    try:
        value: Any = parse_json(data)  # Any: JSON of several kinds
    except ValueError:
        return "object"
    kind = value.get("kind") if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType]
    return _KINDS.get(kind, "object") if isinstance(kind, str) else "object"


class ShardFiles(Mapping[str, StoredFile]):
    """The files of a dataset by name, `00000.parquet` and on, in row order; each is made when it is asked for."""

    def __init__(self, shards: Shards, encoding: Encoding) -> None:
        self._shards = shards
        self._encoding: Encoding = encoding

    def __getitem__(self, name: str) -> StoredFile:
        number = name.partition(".")[0]
        if not number.isdecimal() or int(number) >= len(self._shards) or self._name(int(number)) != name:
            raise KeyError(name)
        return self._shards[int(number)].file

    def __iter__(self) -> Iterator[str]:
        return map(self._name, range(len(self._shards)))

    def __len__(self) -> int:
        return len(self._shards)

    def _name(self, number: int) -> str:
        return shard_name(number, self._encoding)


def shard_name(number: int, encoding: Encoding = "parquet") -> str:
    """Return the name of a shard.

    >>> shard_name(12)
    '00012.parquet'
    """
    return f"{number:0{_SHARD_DIGITS}d}.{encoding}"


def encode_bundle(files: Mapping[str, StoredFile]) -> bytes:
    """Return the manifest of a bundle of `files`."""
    entries = {name: asdict(file) for name, file in files.items()}
    return canonical_json({"format": BUNDLE_FORMAT, "kind": BUNDLE, "files": entries})


def bundle_files(store: Store, digest: str) -> dict[str, StoredFile]:
    """Return the files of the bundle `digest` by name, as its manifest tells.

    Raises:
        ObjectMissing: If the manifest is not there.
        IntegrityError: If the manifest was altered, or `digest` names no bundle.
    """
    try:
        value = parse_json(get_object(store, digest))
        if value["kind"] != BUNDLE or value["format"] != BUNDLE_FORMAT:
            raise ValueError(f"kind {value['kind']!r}, format {value['format']!r}")
        return {str(name): StoredFile(**entry) for name, entry in sorted(value["files"].items())}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"object {digest} in store {store.url} is no model bundle of format {BUNDLE_FORMAT}: {error}; "
            "give the digest of a model, see `penstock models`"
        ) from None
