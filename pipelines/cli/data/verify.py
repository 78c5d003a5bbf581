"""`penstock data verify`: whether versions are whole, down to the last byte."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli.data.show import NAME_HELP

if TYPE_CHECKING:
    from resources.storage.verify import Verified
    from resources.workspace import Workspace


def verify(
    names: Annotated[list[str] | None, typer.Argument(help=f"{NAME_HELP} None: all that refs name.")] = None,
    depth: Annotated[
        Literal["manifest", "sizes", "bytes"],
        typer.Option("--depth", help="How deep: the manifest alone, also the sizes of all files, or every byte."),
    ] = "bytes",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Verify that versions are whole: manifests, files, bytes.

    The store itself is read, past every cache. Exit codes: 0 whole; 1 something is missing or altered.
    """
    from pipelines.cli.console import print_json, print_table, short
    from pipelines.cli.guard import DONE, ERROR
    from pipelines.cli.opened import workspace
    from resources.storage import verify as verifying
    from resources.wording import size

    opened = workspace()
    wanted = _wanted(opened, names or [])
    found = [verifying.verify(opened.store, digest, depth=depth) for digest in wanted]
    if as_json:
        print_json([{"name": title, **asdict(item)} for item, title in zip(found, wanted.values(), strict=True)])
        return ERROR if any(item.faults for item in found) else DONE
    rows = [
        (title, item.kind, short(item.digest), f"{item.files:,}", size(item.read_bytes), _verdict(item))
        for item, title in zip(found, wanted.values(), strict=True)
    ]
    print_table(("name", "kind", "version", "files", "read", "verdict"), rows, right=("files", "read"))
    for item in found:
        for fault in item.faults:
            print(f"{short(item.digest)} {fault.name}: {fault.why} ({fault.key})")
    broken = sum(bool(item.faults) for item in found)
    count = f"{len(found):,} version{'' if len(found) == 1 else 's'}"
    print(f"{count} verified, {size(sum(item.read_bytes for item in found))} read: {broken or 'none'} damaged")
    return ERROR if broken else DONE


def _verdict(item: "Verified") -> str:
    return f"{len(item.faults):,} faults" if item.faults else "whole"


def _wanted(opened: "Workspace", names: list[str]) -> dict[str, str]:
    """Return digest to title of what is named, or of all that refs name."""
    from pipelines.cli.naming import named
    from resources.refs import GateReport
    from resources.storage.refs import listed, load

    if names:
        return {named(opened, name).digest: name for name in names}
    found: dict[str, str] = {}
    for name in listed(opened.store):
        ref = load(opened.store, name.registry, name.asset, name.partition)
        if not isinstance(ref, GateReport):
            found.setdefault(ref.digest, name.title)
    return found
