"""Owns what a version needs: its own files, what lies beside it, and for a model everything that it was made from.

It only follows digests from where it is told to begin; what to begin with is `roots`' matter.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from resources.canonical import parse_json
from resources.errors import ObjectMissing
from resources.storage.content import CHUNK_BYTES, StoredFile
from resources.storage.files import get_bytes, tree_key
from resources.storage.objects import object_key
from resources.storage.provenance import records_of
from resources.storage.store import Store
from resources.storage.versions import Version, version

LINEAGE_FILE = "lineage.json"
"""File of a model bundle that names its training data."""
READERS = 16
"""Small files read at a time: what takes long in a remote store is the way there."""
ReasonKind = Literal["ref", "model", "pin", "job", "lineage", "retention"]
REASONS: tuple[ReasonKind, ...] = ("ref", "model", "pin", "job", "lineage", "retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is needed.

    Attributes:
        kind: By a ref, by the registry's log of models, by a pin, by a running job, by the lineage of a model, or since
            its time has not come.
        name: Which one, in plain words.
    """

    kind: ReasonKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A version that something needs.

    Attributes:
        digest: Its digest.
        reason: What needs it.
        ancestry: Whether what it was made from is needed as well; of models it always is.
    """

    digest: str
    reason: Reason
    ancestry: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """Everything that some versions need.

    Attributes:
        keys: Key in the store to the first reason why it is needed.
        versions: Digest of a version that is there to the first reason.
        missing: Digest of a version that is needed but not in the store to the first reason.
    """

    keys: dict[str, Reason] = field(default_factory=dict[str, Reason])
    versions: dict[str, Version] = field(default_factory=dict[str, Version])
    missing: dict[str, Reason] = field(default_factory=dict[str, Reason])


def reach(store: Store, starts: Iterable[Start], beside: Mapping[str, Iterable[str]] | None = None) -> Reached:
    """Return everything that `starts` need, following digests level by level.

    Args:
        store: Where they lie.
        starts: Where to begin; of several reasons for one version the first counts.
        beside: Digest to digests that are needed wherever it is.

    Raises:
        IntegrityError: If a needed manifest or provenance record is damaged: what it needs cannot be told.
    """
    found = Reached()
    seen: set[tuple[str, bool]] = set()
    level = list(starts)
    with ThreadPoolExecutor(READERS) as readers:
        while level:
            fresh = [start for start in _once(level) if (start.digest, start.ancestry) not in seen]
            seen |= {(start.digest, start.ancestry) for start in fresh}
            level = []
            for start, (made, more) in zip(fresh, readers.map(lambda one: _needs(store, one), fresh), strict=True):
                _note(found, start, made)
                level += more
                level += [Start(digest=item, reason=start.reason) for item in (beside or {}).get(start.digest, ())]
    return found


def own_keys(made: Version) -> list[str]:
    """Return the store keys of a version: its object, its files and their trees."""
    return [object_key(made.digest), *(key for file in made.files.values() for key in file_keys(file))]


def file_keys(file: StoredFile) -> list[str]:
    """Return the store keys of a file: its own and, where it has one, that of its tree."""
    return [file.key, tree_key(file.digest)] if file.size_bytes > CHUNK_BYTES else [file.key]


def _once(starts: Iterable[Start]) -> list[Start]:
    return list({(start.digest, start.ancestry): start for start in reversed(list(starts))}.values())[::-1]


def _note(found: Reached, start: Start, made: Version | None) -> None:
    if made is None:
        found.missing.setdefault(start.digest, start.reason)
        return
    found.versions.setdefault(start.digest, made)
    for key in own_keys(made):
        found.keys.setdefault(key, start.reason)


def _needs(store: Store, start: Start) -> tuple[Version | None, list[Start]]:
    """Return a version, None if it is not there, and what it needs beside its own files."""
    try:
        made = version(store, start.digest)
    except ObjectMissing:
        made = None
    digests: list[str] = []
    is_model = made is not None and made.kind == "model"
    if made is not None and is_model and LINEAGE_FILE in made.files:
        digests += _trained_on(store, made.files[LINEAGE_FILE])
    if is_model or start.ancestry:
        parents = [parent for item in records_of(store, start.digest) for parent in item.parents]
        digests += [parent.digest for parent in parents if parent.kind in ("dataset", "model")]
    by = start.reason if start.reason.kind == "lineage" else _lineage_of(start.digest)
    return made, [Start(digest=digest, reason=by, ancestry=True) for digest in digests if digest != start.digest]


def _lineage_of(digest: str) -> Reason:
    return Reason(kind="lineage", name=f"lineage of model {digest[:12]}")


def _trained_on(store: Store, file: StoredFile) -> list[str]:
    try:
        lineage: Any = parse_json(get_bytes(store, file))  # Any: JSON values
    except ObjectMissing:
        return []  # the bundle is damaged; its provenance names the same data
    return [str(digest) for name in ("features", "raw") for digest in lineage.get(name, {}).values()]
