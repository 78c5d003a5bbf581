"""Owns what a text names in a store, as far as the store alone can tell: assets, versions of them, champions, digests.

`bike_demand/raw@2012-01` is the newest value of an asset for a partition, `bike_demand/raw@<digest>` a version of it,
`bike_demand@champion` the model of a pipeline that is in use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from resources.canonical import is_hex
from resources.errors import ObjectMissing
from resources.storage import refs
from resources.storage.provenance import records_of, resolve
from resources.storage.store import Store

CHAMPION = "champion"
_SHORTEST_DIGEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One place below all versions of a store.

    Attributes:
        name: Asset or pipeline; empty where a digest alone names the version.
        version: Partition key, digest or its first digits, `champion`; empty where there are no partitions; None where
            the place is above all versions.
        path: Path in the version; empty for the version itself.
    """

    name: str
    version: str | None
    path: str

    @property
    def root(self) -> str:
        """The address of the version, without a path in it."""
        return self.name if self.version is None else title(self.name, self.version)


def parse(text: str) -> Address:
    """Return the address that `text` is: `NAME@VERSION/path`, `DIGEST/path`, or a part of a name.

    A digest is told from a name by having six or more hex digits, one of them decimal.

    >>> parse("bike_demand/raw@2012-01/00000.parquet")
    Address(name='bike_demand/raw', version='2012-01', path='00000.parquet')
    >>> parse("0f3a5c/00000.parquet")
    Address(name='', version='0f3a5c', path='00000.parquet')
    """
    parts = text.strip("/").split("/")
    if looks_like_digest(parts[0]):
        return Address(name="", version=parts[0], path="/".join(parts[1:]))
    for number, part in enumerate(parts, start=1):
        if "@" in part:
            last, _, version = part.partition("@")
            return Address(
                name="/".join([*parts[: number - 1], last]), version=unquote(version), path="/".join(parts[number:])
            )
    return Address(name="/".join(parts), version=None, path="")


def title(name: str, version: str) -> str:
    """Return the address of a version, as `parse` reads it."""
    return f"{name}@{quote(version, safe='')}" if name else version


def looks_like_digest(text: str) -> bool:
    """Return whether `text` can be the first digits of a digest."""
    return len(text) >= _SHORTEST_DIGEST and is_hex(text) and not text.isalpha()


def digest_at(store: Store, registry: str, address: Address, champion: Callable[[str], str]) -> str:
    """Return the digest of the version that `address` lies in.

    Args:
        store: Where it lies.
        registry: Name of the registry whose refs count.
        address: The address; it names a version.
        champion: Returns the digest of the champion of a pipeline.

    Raises:
        ObjectMissing: If there is no such version, or more than one.
    """
    version = address.version or ""
    if not address.name:
        return resolve(store, version)
    if "/" in address.name:
        return of_asset(store, registry, address.name, version)
    if version in ("", CHAMPION):
        return champion(address.name)
    digest = resolve(store, version)
    if not any(made.pipeline == address.name for made in records_of(store, digest)):
        raise _not_of(address.name, digest)
    return digest


def of_asset(store: Store, registry: str, asset: str, version: str) -> str:
    """Return the digest of a version of an asset: that of a partition, or one that is named by its digest.

    Args:
        store: Where it lies.
        registry: Name of the registry whose refs count; an asset below `candidates/` is one that was pushed.
        asset: Asset key, with `/`.
        version: Partition key, empty for an unpartitioned asset; or a digest or its first digits.

    Raises:
        ObjectMissing: If there is none.
    """
    path = asset.split("/")
    if path[0] == refs.CANDIDATES:
        registry, path = refs.CANDIDATES, path[1:]
    try:
        return refs.load(store, registry, path, version or None).digest
    except ObjectMissing as error:
        if looks_like_digest(version):
            return _made_as(store, "/".join(path), version)
        known = refs.partitions(store, registry, path)
        hint = f"; it has values for {known[0]} to {known[-1]}: write {asset}@{known[-1]}" if known else ""
        raise ObjectMissing(f"{error}{hint}") from None


def _made_as(store: Store, asset: str, prefix: str) -> str:
    digest = resolve(store, prefix)
    if not any(f"{made.pipeline}/{made.stage}" == asset for made in records_of(store, digest)):
        raise _not_of(asset, digest)
    return digest


def _not_of(name: str, digest: str) -> ObjectMissing:
    return ObjectMissing(f"version {digest[:12]} was not made as {name}: name it by its digest alone")
