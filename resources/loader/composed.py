"""Owns what a loader reads from: the samples of a dataset as they are, packed, or decoded, and by how many threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.errors import LoaderError
from resources.loader.feed import Feed, feed_of, threads_for
from resources.loader.losses import OnError
from resources.loader.order import OrderName
from resources.loader.pace import Pace
from resources.loader.sources import Dataset
from resources.loader.stats import Clock

if TYPE_CHECKING:
    from resources.loader.decoding.decoder import Decoder
    from resources.loader.tokens.packing import TokenPacking
    from resources.loader.where import Filters
    from resources.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Transforms:
    """What becomes of the samples of a dataset.

    Attributes:
        where: Which of them are wanted; None means all.
        decode: Column of bytes to how it is decoded.
        pack_tokens: How documents become rows; None leaves them.
        on_error: What becomes of damaged shards.

    Raises:
        LoaderError: If one of them is of another kind.
    """

    where: "Filters | None"
    decode: "Mapping[str, Decoder] | None"
    pack_tokens: "TokenPacking | None"
    on_error: OnError

    def __post_init__(self) -> None:
        _check("decode", self.decode, Mapping, "a mapping of columns to decoders")
        if self.pack_tokens is None:
            return
        from resources.loader.tokens.packing import TokenPacking

        _check("pack_tokens", self.pack_tokens, TokenPacking, "a TokenPacking")
        if self.decode:
            raise LoaderError("rows of packed tokens hold nothing to decode: leave out decode, or pack_tokens")
        if self.on_error == "skip":
            raise LoaderError(
                "rows of packed tokens are planned from all documents: leave out on_error, or pack_tokens"
            )


def composed(
    dataset: "Dataset | Mapping[Dataset, float]",
    columns: Sequence[str] | None,
    order: OrderName,
    seed: int,
    *,
    store: "Store | None",
    transforms: Transforms,
    threads: int | None,
    clock: Clock,
) -> tuple[Feed, Pace]:
    """Return what fills slabs, and how many threads do: `threads`, unless it is None.

    Raises:
        LoaderError: If the dataset cannot be read, or not so.
    """
    packing, decode = transforms.pack_tokens, transforms.decode
    where, on_error = transforms.where, transforms.on_error
    if packing is not None:
        from resources.loader.tokens.packed import PackedTokens

        columns = _alone(packing, columns)
        documents = feed_of(dataset, columns, order, seed, store=store, where=where, on_error=on_error)
        feed = PackedTokens(documents, packing, seed)
        return feed, Pace(threads, threads_for(feed))
    feed = feed_of(dataset, columns, order, seed, store=store, where=where, on_error=on_error)
    if not decode:
        return feed, Pace(threads, threads_for(feed))
    from resources.loader.decoding.decoded import Decoded, threads_to_decode

    threads = threads_to_decode() if threads is None else threads
    return Decoded(feed, decode, clock, processes=threads), Pace(threads, threads)


def _alone(packing: "TokenPacking", columns: Sequence[str] | None) -> Sequence[str]:
    if columns is not None and list(columns) != [packing.column]:
        raise LoaderError(f"pack_tokens reads column {packing.column!r} alone: leave out columns")
    return [packing.column]


def _check(name: str, value: object, kind: type, wanted: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise LoaderError(f"{name} is {value!r}: give {wanted}, or None")
