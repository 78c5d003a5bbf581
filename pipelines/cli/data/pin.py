"""`penstock data pin`: keep versions, whatever becomes of the refs that name them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.data.show import NAME_HELP

if TYPE_CHECKING:
    from resources.workspace import Workspace


def pin(
    name: Annotated[str | None, typer.Argument(help=f"{NAME_HELP} None: list all pins.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is kept.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Let it go again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the pins as JSON.")] = False,
) -> None:
    """Keep a version from `penstock data gc`, with the reason why; list or remove such pins."""
    from pipelines.cli.console import print_json, print_table, short
    from pipelines.cli.opened import workspace
    from resources.storage.garbage.pins import pins
    from resources.storage.layered import own_layer

    opened = workspace()
    if name is None and (remove or reason):
        raise typer.BadParameter("name the version that is meant")
    if name is not None:
        _change(opened, name, reason, remove=remove)
    found = pins(own_layer(opened.store))
    if as_json:
        print_json([asdict(item) for item in found])
        return
    if not found:
        print("no version is pinned")
        return
    rows = [(short(item.digest), item.name, item.by, item.at, item.reason) for item in found]
    print_table(("version", "name", "by", "at", "reason"), rows)


def _change(opened: "Workspace", name: str, reason: str, *, remove: bool) -> None:
    from pipelines.cli.naming import named
    from resources.storage.garbage.pins import pin as keep
    from resources.storage.garbage.pins import unpin

    digest = named(opened, name).digest
    if remove:
        unpin(opened.store, digest)
    else:
        keep(opened.store, digest, name=name, beside=_beside(opened, digest), reason=reason)


def _beside(opened: "Workspace", digest: str) -> tuple[str, ...]:
    """Return the objects that a ref says belong to the version."""
    from resources.refs import digests_of
    from resources.storage.refs import listed, load

    for name in listed(opened.store):
        ref = load(opened.store, name.registry, name.asset, name.partition)
        if ref.digest == digest:
            return digests_of(ref)[1:]
    return ()
