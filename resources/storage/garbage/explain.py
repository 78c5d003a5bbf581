"""Owns the reasons, in plain words and numbers: what is kept by what, and which versions are garbage and why."""

from collections.abc import Mapping
from dataclasses import dataclass

from resources.errors import IntegrityError, ObjectMissing
from resources.refs import Ref
from resources.storage import refs
from resources.storage.garbage.roots import Alive, read_all
from resources.storage.garbage.walk import REASONS, ReasonKind, own_keys
from resources.storage.provenance import records_of
from resources.storage.store import Store
from resources.storage.versions import Version, version

_OBJECTS = "objects/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept for one kind of reason.

    Attributes:
        kind: The kind; what is needed for several counts for the first.
        versions: How many versions.
        size_bytes: Their bytes, what they share counted once.
        names: The reasons, sorted.
    """

    kind: ReasonKind
    versions: int
    size_bytes: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A version that nothing needs.

    Attributes:
        digest: Its digest.
        kind: Dataset, model or object (a report, a profile).
        name: What it was, as recorded.
        why: Why nothing needs it.
        size_bytes: Bytes that go with it, what others share not counted.
    """

    digest: str
    kind: str
    name: str
    why: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """All decisions on one store.

    Attributes:
        kept: By kind of reason.
        dead: Versions that are garbage.
        loose: How many files belong to no version: of writes that failed, or that are not finished yet.
        loose_bytes: Their bytes.
        missing: Digest of a version that is needed but not there to what needs it.
    """

    kept: tuple[Kept, ...]
    dead: tuple[Dead, ...]
    loose: int
    loose_bytes: int
    missing: Mapping[str, str]


def explain(store: Store, there: Mapping[str, int], garbage: Mapping[str, int], living: Alive) -> Explained:
    """Return why `garbage` is garbage and what keeps the rest.

    Args:
        store: Where all that lies.
        there: Key to bytes of everything that can be garbage.
        garbage: Key to bytes of what nothing needs.
        living: What is needed.
    """
    gone = [key.rsplit("/", 1)[1] for key in garbage if key.startswith(_OBJECTS)]
    now = _current(store)
    dead: list[Dead] = []
    named: set[str] = set()
    for _, made in read_all(store, gone, _version):
        keys = [key for key in own_keys(made) if key in garbage and key not in named]
        named.update(keys)
        dead.append(_dead(store, made, now, sum(garbage[key] for key in keys)))
    loose = {key: size for key, size in garbage.items() if key not in named and key.startswith("files/")}
    return Explained(
        kept=tuple(_kept(kind, there, living) for kind in REASONS),
        dead=tuple(sorted(dead, key=lambda item: (item.kind, item.name, item.digest))),
        loose=len(loose),
        loose_bytes=sum(loose.values()),
        missing={digest: reason.name for digest, reason in living.reached.missing.items()},
    )


def _kept(kind: ReasonKind, there: Mapping[str, int], living: Alive) -> Kept:
    reached = living.reached
    keys = {key for key, reason in reached.keys.items() if reason.kind == kind}
    return Kept(
        kind=kind,
        versions=sum(own_keys(made)[0] in keys for made in reached.versions.values()),
        size_bytes=sum(there.get(key, 0) for key in keys),
        names=tuple(sorted({reached.keys[key].name for key in keys})),
    )


def _version(store: Store, digest: str) -> Version:
    try:
        return version(store, digest)
    except IntegrityError:  # damaged, or of another format: what it names cannot be told
        return Version(digest=digest, kind="object", files={}, size_bytes=0)


def _current(store: Store) -> dict[tuple[str, str], str]:
    """Return asset and partition to the digest that a ref of any registry names."""

    def load(store: Store, name: refs.RefName) -> Ref:
        return refs.load(store, name.registry, name.asset, name.partition)

    return {
        ("/".join(name.asset), name.partition or ""): ref.digest
        for name, ref in read_all(store, refs.listed(store), load)
    }


def _dead(store: Store, made: Version, now: Mapping[tuple[str, str], str], size_bytes: int) -> Dead:
    try:
        records = records_of(store, made.digest)
    except (IntegrityError, ObjectMissing):
        records = ()
    name, why = "", "no ref, model, pin or running job names it"
    if made.kind == "object":
        why = "no version in use names this report or profile"
    if records:
        last = records[-1]
        name = last.title
        newer = now.get((f"{last.pipeline}/{last.stage}", last.partition))
        if newer is not None and newer != made.digest:
            why = f"replaced: {name} is {newer[:12]} now"
    elif made.kind != "object":
        why = "it was written but never handed over"
    return Dead(digest=made.digest, kind=made.kind, name=name, why=why, size_bytes=size_bytes)
