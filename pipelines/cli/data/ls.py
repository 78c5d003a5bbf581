"""`penstock data ls`: what the store holds, by asset."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resources.storage.refs import RefName
    from resources.workspace import Workspace


def ls(
    asset: Annotated[
        str, typer.Argument(help="An asset such as bike_demand/raw, or a pipeline: its partitions one by one.")
    ] = "",
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="NAME", help="Another registry, such as that of a backtest.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List assets and their newest versions: rows, bytes, digests."""
    from pipelines.cli.opened import workspace
    from resources.errors import ObjectMissing
    from resources.storage.refs import listed

    opened = workspace(registry)
    names = listed(opened.store, opened.registry_name)
    wanted = [name for name in names if not asset or name.asset[: len(_path(asset))] == _path(asset)]
    if asset and not wanted:
        known = ", ".join(sorted({"/".join(name.asset) for name in names})) or "none"
        raise ObjectMissing(f"no asset {asset!r} in registry {opened.registry_name!r}; there are: {known}")
    if asset:
        _versions(opened, wanted, as_json=as_json)
    else:
        _assets(opened, wanted, as_json=as_json)


def _path(asset: str) -> tuple[str, ...]:
    return tuple(asset.strip("/").split("/"))


def _assets(opened: "Workspace", names: "list[RefName]", *, as_json: bool) -> None:
    from pipelines.cli.console import print_json, print_table

    partitions: dict[str, list[str]] = {}
    for name in names:
        partitions.setdefault("/".join(name.asset), []).append(name.partition or "")
    if as_json:
        print_json([{"asset": asset, "partitions": [key for key in keys if key]} for asset, keys in partitions.items()])
        return
    if not partitions:
        print(f"store {opened.store.url} holds no asset in registry {opened.registry_name!r}: penstock run PIPELINE")
        return
    rows = [
        (asset, str(len(keys)), f"{keys[0]} to {keys[-1]}" if keys[0] else "whole")
        for asset, keys in partitions.items()
    ]
    print_table(("asset", "versions", "partitions"), rows, right=("versions",))


def _versions(opened: "Workspace", names: "list[RefName]", *, as_json: bool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from pipelines.cli.console import print_json, print_table, short
    from resources.wording import size

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: _row(opened, name), names))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            str(row["name"]),
            str(row["kind"]),
            short(row["digest"]),
            f"{row['rows']:,}" if row["rows"] is not None else "",
            size(row["size_bytes"]) if row["size_bytes"] is not None else "",
        )
        for row in found
    ]
    print_table(("name", "kind", "version", "rows", "size"), rows, right=("rows", "size"))


def _row(opened: "Workspace", name: "RefName") -> dict[str, Any]:  # Any: JSON values
    from resources.refs import DatasetRef, FolderRef, to_json
    from resources.storage.refs import load

    ref = load(opened.store, name.registry, name.asset, name.partition)
    is_dataset = isinstance(ref, DatasetRef)
    return {
        "name": name.title,
        "kind": to_json(ref)["kind"],
        "digest": ref.digest,
        "rows": ref.rows if is_dataset else None,
        "size_bytes": ref.size_bytes if isinstance(ref, DatasetRef | FolderRef) else None,
    }
