"""`penstock data show`: what one version is made of, and where it came from."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resources.storage.store import Store

NAME_HELP = "A digest or its first digits, a pipeline (its champion), or an asset such as bike_demand/raw@2012-01."


def show(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    files: Annotated[bool, typer.Option("--files", help="List every file with its key in the store.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show a version: rows, bytes, columns with their range, files, and how it came to be."""
    from pipelines.cli.console import print_json, print_pairs, print_table
    from pipelines.cli.naming import named
    from pipelines.cli.opened import workspace
    from resources.wording import size

    opened = workspace()
    told = described(opened.store, named(opened, name).digest)
    if as_json:
        print_json(told)
        return
    made = told["made"][-1] if told["made"] else None
    print_pairs(
        {
            "version": told["digest"],
            "kind": told["kind"],
            **({"rows": f"{told['rows']:,}"} if "rows" in told else {}),
            "size": f"{size(told['size_bytes'])} ({told['size_bytes']:,} bytes) in {len(told['files']) or 1:,} files",
            **({"compressed": f"by {told['codec']}, of {size(told['plain_bytes'])}"} if told.get("codec") else {}),
            "made by": f"{made['pipeline']}/{made['stage']} {made['partition']}".rstrip() if made else "not recorded",
            **({"run": made["run_id"] or "-", "at": made["created_at"]} if made else {}),
            **({"made from": f"{len(made['parents'])} inputs: penstock lineage {told['digest'][:12]}"} if made else {}),
        }
    )
    if "columns" in told:
        print()
        rows = [
            (column["name"], column["type"], f"{column['nulls']:,}", _text(column["low"]), _text(column["high"]))
            for column in told["columns"]
        ]
        print_table(("column", "type", "nulls", "lowest", "highest"), rows, right=("nulls",))
    if files:
        print()
        rows = [(item["name"], size(item["size_bytes"]), item["digest"], item["key"]) for item in told["files"]]
        print_table(("file", "size", "digest", "key"), rows, right=("size",))


def described(store: "Store", digest: str) -> dict[str, Any]:  # Any: JSON values
    """Return what the version `digest` is made of and how it came to be, as JSON."""
    from resources.storage.manifest import read_manifest
    from resources.storage.matrices import named_schema
    from resources.storage.provenance import records_of
    from resources.storage.versions import version

    found = version(store, digest)
    told: dict[str, Any] = {
        "digest": digest,
        "kind": found.kind,
        "size_bytes": found.size_bytes,
        "files": [{"name": name, "key": file.key, **asdict(file)} for name, file in found.files.items()],
        "made": [asdict(record) for record in records_of(store, digest)],
    }
    if found.kind == "dataset":
        made = read_manifest(store, digest)
        told |= {"rows": made.rows, "codec": made.codec, "plain_bytes": made.plain_bytes}
        told["columns"] = [
            {
                "name": field.name,
                "type": f"{field.type}{'' if field.nullable else ' not null'}",
                **(asdict(made.statistics[field.name]) if field.name in made.statistics else _NOTHING),
            }
            for field in named_schema(made.schema)
        ]
    return told


_NOTHING: dict[str, Any] = {"nulls": 0, "low": None, "high": None}  # Any: JSON values; nested columns have no range


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
