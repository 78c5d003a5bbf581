"""Owns what a version is made of: the files that a dataset, a model bundle or a single object consists of.

It knows the two manifests (`resources.storage.manifest` for datasets, the one of bundles here) and nothing of what the
files mean.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resources.canonical import canonical_json, parse_json
from resources.errors import IntegrityError
from resources.storage.content import StoredFile
from resources.storage.manifest import KIND as DATASET
from resources.storage.manifest import Shards, read_manifest
from resources.storage.objects import get_object
from resources.storage.store import Store

BUNDLE = "bundle"
BUNDLE_FORMAT = 2
_SHARD_DIGITS = 5

VersionKind = Literal["dataset", "model", "object"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable version: an object in the store, and the files that it names.

    Attributes:
        digest: Digest of the manifest, or of the object itself.
        kind: Dataset, model, or a single object such as a report or a profile.
        files: File name to file; empty for a single object.
    """

    digest: str
    kind: VersionKind
    files: Mapping[str, StoredFile]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files.values())


def version(store: Store, digest: str) -> Version:
    """Return what the version `digest` is made of.

    Raises:
        ObjectMissing: If the store has no such object.
        IntegrityError: If it was altered, or is a manifest of another format.
    """
    match kind_of(get_object(store, digest)):
        case "dataset":
            return Version(digest=digest, kind="dataset", files=shard_files(read_manifest(store, digest).shards))
        case "model":
            return Version(digest=digest, kind="model", files=bundle_files(store, digest))
        case _:
            return Version(digest=digest, kind="object", files={})


def kind_of(data: bytes) -> VersionKind:
    """Return what kind of version an object is the manifest of."""
    try:
        value: Any = parse_json(data)  # Any: JSON of several kinds
    except ValueError:
        return "object"
    kind = value.get("kind") if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType]
    return "dataset" if kind == DATASET else "model" if kind == BUNDLE else "object"


def shard_files(shards: Shards) -> dict[str, StoredFile]:
    """Return the files of a dataset by name: `00000.parquet` and on, in row order."""
    return {f"{number:0{_SHARD_DIGITS}d}.parquet": file for number, file in enumerate(shards.files)}


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
