"""`penstock data diff`: what changed between two versions."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.data.show import NAME_HELP

if TYPE_CHECKING:
    from resources.storage.comparison import ColumnDifference, Difference
    from resources.storage.store import Store

_SHOWN = ("mean", "std", "nulls", "distinct")


def diff(
    before: Annotated[str, typer.Argument(help=NAME_HELP)],
    after: Annotated[str, typer.Argument(help="The other version, named likewise.")],
    profile: Annotated[
        bool, typer.Option("--profile", help="Read both datasets and compare their columns value by value.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
) -> None:
    """Tell what changed from one version to another: shards, rows, schema, ranges.

    Manifests alone are read, however large the data, unless `--profile` asks for more.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.naming import named
    from pipelines.cli.opened import workspace
    from resources.storage import comparison

    opened = workspace()
    digests = (named(opened, before).digest, named(opened, after).digest)
    found = comparison.diff(opened.store, *digests)
    profiles = _profiles(opened.store, digests) if profile and found.kind == "dataset" else None
    if as_json:
        sides = {name: {"before": old, "after": new} for name, (old, new) in (profiles or {}).items()}
        print_json({"before": digests[0], "after": digests[1], **asdict(found), "profile": sides or None})
        return
    _tell(digests, found)
    if profiles is not None:
        _tell_profiles(profiles)


def _tell(digests: tuple[str, str], found: "Difference") -> None:
    from pipelines.cli.console import print_pairs, print_table
    from resources.wording import size

    if digests[0] == digests[1]:
        print(f"both are version {digests[0]}")
        return
    files, what = found.files, "shards" if found.kind == "dataset" else "files"
    print_pairs(
        {
            "before": digests[0],
            "after": digests[1],
            **({"rows": _change(*found.rows)} if found.rows else {}),
            "size": f"{size(found.size_bytes[0])} to {size(found.size_bytes[1])}",
            what: f"{files.shared:,} shared ({size(files.shared_bytes)}), {files.removed:,} removed "
            f"({size(files.removed_bytes)}), {files.added:,} added ({size(files.added_bytes)})",
        }
    )
    if found.columns:
        print()
        print_table(("column", "type", "nulls", "lowest", "highest"), [_column_row(item) for item in found.columns])
    elif found.kind == "dataset":
        print(f"{'columns'.ljust(7)} same names, types and ranges")
    if found.named:
        print()
        print_table(("file", "what"), found.named)


def _column_row(item: "ColumnDifference") -> tuple[str, ...]:
    sides = [asdict(side) if side else {} for side in item.statistics]
    values = [_change(*(side.get(key) for side in sides)) for key in ("nulls", "low", "high")]
    types = "added" if item.types[0] is None else "removed" if item.types[1] is None else _change(*item.types)
    return (item.name, types, *values)


def _change(before: object, after: object) -> str:
    return _text(before) if before == after else f"{_text(before)} to {_text(after)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _profiles(store: "Store", digests: tuple[str, str]) -> dict[str, tuple[Any, Any]]:  # Any: JSON of a column profile
    from quality.profile import profile
    from resources.storage.datasets import read_frame

    before, after = (profile(read_frame(store, digest)).to_json()["columns"] for digest in digests)
    return {name: (before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])}


def _tell_profiles(profiles: dict[str, tuple[Any, Any]]) -> None:  # Any: as above
    from pipelines.cli.console import print_table

    changed = {name: sides for name, sides in profiles.items() if sides[0] != sides[1]}
    print()
    if not changed:
        print("profiles are the same, column by column")
        return
    rows = [
        (name, *(_change(*((side or {}).get(key) for side in sides)) for key in _SHOWN))
        for name, sides in changed.items()
    ]
    print_table(("column", *_SHOWN), rows)
