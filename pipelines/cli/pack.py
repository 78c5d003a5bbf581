"""`penstock pack`: a dataset as shards that are ready for the loader."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from resources.refs import DatasetRef
    from resources.storage.store import Store


_Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="A dataset, NAME@VERSION or a digest; files or folders, Parquet or Arrow; folders of MDS or LitData.",
    ),
]
_Name = Annotated[
    str, typer.Option("--as", metavar="NAME", help="What to call it: clicks/packed, or clicks/packed@2026-11.")
]
_Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="COLUMN", help="A column that stays out of the matrices, such as the label."),
]
_FillNull = Annotated[
    str | None,
    typer.Option("--fill-null", metavar="VALUE", help="What takes the place of missing numbers: nan, or a number."),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the order of the rows.")]
_ShardSize = Annotated[str, typer.Option("--shard-size", metavar="SIZE", help="Bytes of a shard, about.")]
_Codec = Annotated[
    Literal["auto", "none", "lz4", "zstd"] | None,
    typer.Option("--codec", help="What shards are compressed by in the store; by default as PENSTOCK_CODEC says."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print what was stored as JSON.")]


def pack(
    data: _Data,
    *,
    name: _Name,
    keep: _Keep = None,
    fill_null: _FillNull = None,
    seed: _Seed = 0,
    shard_size: _ShardSize = "64MiB",
    codec: _Codec = None,
    as_json: _Json = False,
) -> None:
    """Store a dataset anew for the loader: its rows in one random order, numbers of one type side by side.

    Any stretch of rows is then a random sample, read at the speed of memory. Memory stays bounded; scratch space as
    large as the dataset is needed. The same data, seed, columns and codec give the same version.
    """
    from pipelines.cli.opened import workspace
    from pipelines.cli.stored_as import GivenName
    from resources.loader.fill import fill_of
    from resources.loader.pack import pack as stored
    from resources.loader.sources import source_of
    from resources.settings import parse_bytes
    from resources.storage.provenance import Parent

    opened, given = workspace(), GivenName.parse(name)
    given.check_free(opened)
    source = source_of(data if len(data) > 1 else data[0], opened.store)
    shard_bytes, chosen = parse_bytes("--shard-size", shard_size), codec or opened.settings.codec
    ref = stored(
        source,
        store=opened.store,
        scratch=opened.scratch,
        keep=keep or (),
        seed=seed,
        shard_bytes=shard_bytes,
        fill_null=None if fill_null is None else fill_of(fill_null),
        codec=None if chosen == "none" else chosen,
    )
    parameters = {"seed": seed, "keep": keep or [], "shard_bytes": shard_bytes, "fill_null": fill_null, "codec": chosen}
    kind = "dataset" if source.is_stored else "source"
    parents = [Parent(kind=kind, name=source.name, digest=source.layout.root)]
    given.save(opened, ref, parameters=parameters, parents=parents)
    _tell(opened.store, name, ref, as_json=as_json)


def _tell(store: "Store", name: str, ref: "DatasetRef", *, as_json: bool) -> None:
    from dataclasses import asdict

    from pipelines.cli.console import print_json
    from resources.storage.manifest import read_manifest
    from resources.storage.matrices import packed_names
    from resources.wording import size

    made = read_manifest(store, ref.digest)
    matrices = packed_names(made.schema)
    if as_json:
        told = {"shards": len(made.shards), "matrices": matrices, "codec": made.codec, "plain_bytes": made.plain_bytes}
        print_json({"name": name, **told, **asdict(ref)})
        return
    shards = "1 shard" if len(made.shards) == 1 else f"{len(made.shards):,} shards"
    taken = size(ref.size_bytes)
    room = f"{taken} by {made.codec} of {size(made.plain_bytes)}" if made.codec else taken
    print(f"{name}: {ref.rows:,} rows in {shards}, {room}, version {ref.digest[:12]}")
    for field, columns in matrices.items():
        print(f"  {field}: {len(columns)} columns side by side")
    print(f"load it by: Loader({name!r}, batch_size)")
