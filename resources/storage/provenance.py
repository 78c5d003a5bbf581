"""Owns where things came from: records beside the content that they name, and the walk along them in both directions.

A record says how one digest came to be. Of records of the same making (same parents, code, parameters) the first stays.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from resources.canonical import DIGEST_LENGTH, digest_value, is_hex
from resources.errors import IntegrityError, ObjectMissing
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

Kind = Literal["dataset", "model", "report", "deployment", "source"]
_SHORTEST_PREFIX = 6
_NEAREST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Something that a digest was made from.

    Attributes:
        kind: What it is.
        name: How people call it: a stage and partition, or the URL of a source without credentials.
        digest: Its digest.
    """

    kind: Kind
    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How one digest came to be.

    Attributes:
        subject: The digest.
        kind: What it names.
        pipeline: Pipeline that made it.
        stage: Stage of that pipeline.
        partition: Partition key, empty for none.
        parents: Everything it was made from.
        code_version: Version of the code of the stage.
        parameters: Parameters of the stage, JSON values.
        run_id: Run that first made it.
        created_at: When, ISO 8601 in UTC.
    """

    subject: str
    kind: Kind
    pipeline: str
    stage: str
    partition: str = ""
    parents: tuple[Parent, ...] = ()
    code_version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])  # Any: JSON values
    run_id: str = ""
    created_at: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")

    @property
    def title(self) -> str:
        """How people call it."""
        return " ".join(part for part in (f"{self.pipeline}/{self.stage}", self.partition) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A digest in a lineage tree, with those one step further from the root as children."""

    digest: str
    kind: str
    title: str
    children: tuple["Node", ...] = ()


def record(store: Store, provenance: Provenance) -> None:
    """Store how `provenance.subject` came to be; the same making is recorded once."""
    value = asdict(provenance)
    making = {name: item for name, item in value.items() if name not in ("run_id", "created_at")}
    # The way down first: a marker without a record is ignored, a record without marker would be missed.
    for parent in provenance.parents:
        store.create(f"{_folder('children', parent.digest)}/{provenance.subject}.json", seal(asdict(parent)))
    store.create(f"{_folder('provenance', provenance.subject)}/{digest_value(making)}.json", seal(value))


def records_of(store: Store, subject: str) -> tuple[Provenance, ...]:
    """Return all records of the digest `subject`, oldest first; none for a source or an unknown digest."""
    keys = store.list(_folder("provenance", subject))
    found = [_parse(store, key) for key in keys]
    return tuple(sorted(found, key=lambda item: (item.created_at, item.stage, item.partition)))


def ancestors(store: Store, digest: str) -> Node:
    """Return the tree from `digest` up to the raw files that it came from."""
    return _Walk(store).up(Parent(kind="source", name="", digest=digest), frozenset())


def descendants(store: Store, digest: str) -> Node:
    """Return the tree from `digest` down to everything made from it."""
    return _Walk(store).down(digest, frozenset())


def resolve(store: Store, prefix: str) -> str:
    """Return the one known digest that starts with `prefix`.

    Args:
        store: Where to look.
        prefix: At least 6 hex digits.

    Raises:
        ObjectMissing: If none or several start so; the message names the nearest.
    """
    wanted = prefix.strip().lower()
    if not _SHORTEST_PREFIX <= len(wanted) <= DIGEST_LENGTH or not is_hex(wanted):
        raise ObjectMissing(f"{prefix!r} is no digest: give its first {_SHORTEST_PREFIX} or more hex digits")
    known = _known(store, wanted[:2])
    matching = [digest for digest in known if digest.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise ObjectMissing(f"{prefix!r} is the start of {len(matching)} digests, give more digits: {_some(matching)}")
    near = sorted(known, key=lambda digest: -_common(digest, wanted))[:_NEAREST]
    hint = f"; nearest: {_some(near)}" if near else ""
    raise ObjectMissing(f"no digest in store {store.url} starts with {prefix!r}{hint}")


class _Walk:
    """One walk; a digest reached by several ways is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._up: dict[str, Node] = {}
        self._down: dict[str, Node] = {}
        self._records: dict[str, tuple[Provenance, ...]] = {}

    def up(self, start: Parent, below: frozenset[str]) -> Node:
        digest = start.digest
        if digest not in self._up:
            records = self._of(digest)
            parents = {parent.digest: parent for item in records for parent in item.parents}
            # A stage that changes nothing has its own digest as parent.
            children = [
                self.up(parent, below | {digest})
                for parent in parents.values()
                if parent.digest not in below | {digest}
            ]
            self._up[digest] = _node(digest, records, start, children)
        return self._up[digest]

    def down(self, digest: str, above: frozenset[str]) -> Node:
        if digest not in self._down:
            records = self._of(digest)
            keys = self._store.list(_folder("children", digest))
            subjects = [key.rsplit("/", 1)[1].removesuffix(".json") for key in keys]
            wanted = [subject for subject in subjects if subject not in above | {digest} and self._of(subject)]
            start = self._as_parent(keys, digest)
            self._down[digest] = _node(digest, records, start, [self.down(item, above | {digest}) for item in wanted])
        return self._down[digest]

    def _of(self, digest: str) -> tuple[Provenance, ...]:
        if digest not in self._records:
            self._records[digest] = records_of(self._store, digest)
        return self._records[digest]

    def _as_parent(self, keys: list[str], digest: str) -> Parent:
        for key in keys[:1]:
            return _parse_parent(self._store, key)
        return Parent(kind="source", name="", digest=digest)


def _node(digest: str, records: tuple[Provenance, ...], start: Parent, children: list[Node]) -> Node:
    titles = list(dict.fromkeys(item.title for item in records)) or [start.name or "not recorded"]
    kind = records[0].kind if records else start.kind
    return Node(digest=digest, kind=kind, title=" = ".join(titles), children=tuple(children))


def _parse(store: Store, key: str) -> Provenance:
    try:
        value = read_verified(store, key, unseal)
        parents = tuple(Parent(**parent) for parent in value.pop("parents"))
        return Provenance(**value, parents=parents)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _altered(store, key, error) from error


def _parse_parent(store: Store, key: str) -> Parent:
    try:
        return Parent(**read_verified(store, key, unseal))
    except (ValueError, TypeError) as error:
        raise _altered(store, key, error) from error


def _altered(store: Store, key: str, error: Exception) -> IntegrityError:
    return IntegrityError(f"{key} in store {store.url} is no provenance record: {error}; delete it and run again")


def _folder(name: str, digest: str) -> str:
    return f"{name}/{digest[:2]}/{digest}"


def _known(store: Store, fan: str) -> set[str]:
    """Return the digests that start with the two hex digits `fan`."""
    objects = {key.rsplit("/", 1)[1] for key in store.list(f"objects/{fan}")}
    named = {key.split("/")[2] for name in ("provenance", "children") for key in store.list(f"{name}/{fan}")}
    return objects | named


def _common(digest: str, wanted: str) -> int:
    return next((index for index, (a, b) in enumerate(zip(digest, wanted, strict=False)) if a != b), len(wanted))


def _some(digests: list[str]) -> str:
    return ", ".join(digest[:12] for digest in sorted(digests)[:_NEAREST])
