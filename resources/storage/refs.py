"""Owns the newest hand-over value of every asset and partition, per registry: a backtest never touches production.

Refs are the only mutable pointers to data and move by compare-and-swap; what they point to never changes. Their key
does not name their content, so they carry a digest of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, unquote

from resources.errors import ConflictError, IntegrityError, ObjectMissing
from resources.refs import Ref, digests_of, from_json, sources_of, to_json
from resources.storage.garbage.guard import keeping
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

R = TypeVar("R", bound=Ref)
CANDIDATES = "candidates"
"""Registry of the values that others offer by `penstock data push`."""
_WHOLE = "_"  # an unpartitioned asset


def save(store: Store, registry: str, asset: Sequence[str], partition: str | None, ref: Ref) -> None:
    """Make `ref` the newest value of `asset` for `partition`, replacing the one before.

    Raises:
        ConflictError: If another writer replaced it at the same moment by another value; theirs stays. Or if what
            `ref` names was deleted as garbage meanwhile.
    """
    key, data = _key(registry, asset, partition), seal(to_json(ref))
    try:
        before, tag = store.get_tagged(key)
    except ObjectMissing:
        before, tag = None, None
    with keeping(store, digests_of(ref), sources_of(ref)):
        # A request that was sent again after a lost answer finds its own value.
        if before == data or store.swap(key, data, tag=tag) or store.get(key) == data:
            return
    where = f" for partition {partition}" if partition else ""
    raise ConflictError(
        f"another run replaced the value of asset {'/'.join(asset)}{where} at the same moment: theirs stays; "
        "if yours shall stand, run it again"
    )


def load(store: Store, registry: str, asset: Sequence[str], partition: str | None) -> Ref:
    """Return the newest value of `asset` for `partition`.

    Raises:
        ObjectMissing: If it was never materialized.
        IntegrityError: If the stored value is not a hand-over value.
    """
    key = _key(registry, asset, partition)
    try:
        return read_verified(store, key, lambda data: from_json(unseal(data)))
    except ObjectMissing:
        where = f" for partition {partition}" if partition else ""
        option = f" --partition {partition}" if partition else ""
        raise ObjectMissing(
            f"asset {'/'.join(asset)} has no value{where} in registry {registry!r} of store {store.url}; "
            f"materialize it: penstock run {asset[0]}{option}"
        ) from None
    except (ValueError, IntegrityError) as error:
        raise IntegrityError(f"{key} in store {store.url} is damaged: {error}; materialize the asset again") from error


def partitions(
    store: Store, registry: str, asset: Sequence[str], *, before: str | None = None, most: int | None = None
) -> list[str]:
    """Return the sorted partition keys for which `asset` has a value; none for an unpartitioned asset.

    Args:
        store: Where the refs lie.
        registry: Name of the registry.
        asset: Key of the asset.
        before: Only the partitions before this one; None is all.
        most: Only the last so many of these; None is all.
    """
    folder = _folder(registry, asset)
    return list(_last(folder, store.list(folder), before=before, most=most))


def stamps(
    store: Store, registry: str, asset: Sequence[str], *, before: str | None = None, most: int | None = None
) -> dict[str, str]:
    """Return partition to a text that changes when its value is replaced; the values are not read.

    The arguments are those of `partitions`, whose order it has.
    """
    folder = _folder(registry, asset)
    found = store.stamps(folder)
    return {partition: found[key] for partition, key in _last(folder, found, before=before, most=most).items()}


def _last(folder: str, keys: Iterable[str], *, before: str | None, most: int | None) -> dict[str, str]:
    """Return partition to key of the values in `folder`, sorted, of the last `most` partitions before one."""
    names = ((key[len(folder) + 1 :], key) for key in keys)
    found = sorted(
        (unquote(name.removesuffix(".json")[1:]), key)
        for name, key in names
        if name.startswith("p") and "/" not in name
    )
    earlier = [one for one in found if before is None or one[0] < before]
    return dict(earlier if most is None else earlier[max(0, len(earlier) - most) :])


def earlier(
    store: Store, registry: str, asset: Sequence[str], kind: type[R], *, before: str, most: int
) -> dict[str, R]:
    """Return partition to value of the last `most` partitions before one, of those whose value is of `kind`."""
    keys = partitions(store, registry, asset, before=before, most=most)
    return {key: found for key in keys if isinstance(found := load(store, registry, asset, key), kind)}


def name_of(partition: str | None) -> str:
    """Return what stands for a partition in keys of the store, and for what has none.

    The letter keeps any partition key apart from the whole asset, and from a leading dot.
    """
    return f"p{quote(partition, safe='')}" if partition else _WHOLE


def partition_of(name: str) -> str | None:
    """Return the partition that `name_of` stands for, None for the whole asset."""
    return None if name == _WHOLE else unquote(name[1:])


@dataclass(frozen=True, slots=True)
class RefName:
    """What a ref is called: registry, asset key, and partition key, None for an unpartitioned asset."""

    registry: str
    asset: tuple[str, ...]
    partition: str | None

    @property
    def title(self) -> str:
        """What a person may type for it."""
        return "/".join(self.asset) + (f"@{self.partition}" if self.partition else "")


def listed(store: Store, registry: str | None = None) -> list[RefName]:
    """Return the names of all refs, or of those in one registry, sorted; their values are not read."""
    keys = store.list("refs" if registry is None else f"refs/{quote(registry, safe='')}")
    return sorted(map(_name, keys), key=lambda name: (name.registry, name.asset, name.partition or ""))


def _name(key: str) -> RefName:
    _, registry, *asset, file = (unquote(part) for part in key.removesuffix(".json").split("/"))
    return RefName(registry, tuple(asset), None if file == _WHOLE else file[1:])


def _folder(registry: str, asset: Sequence[str]) -> str:
    return "/".join(["refs", quote(registry, safe=""), *(quote(part, safe="") for part in asset)])


def _key(registry: str, asset: Sequence[str], partition: str | None) -> str:
    return f"{_folder(registry, asset)}/{name_of(partition)}.json"
