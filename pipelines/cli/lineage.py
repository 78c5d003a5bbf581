"""`penstock lineage`: from a model to the raw files it came from, and back down."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.tree import Tree

    from resources.storage.provenance import Node


def lineage(
    name: Annotated[
        str,
        typer.Argument(
            help="A digest or its first digits, a pipeline (its champion), or an asset such as bike_demand/raw@2012-01."
        ),
    ],
    down: Annotated[bool, typer.Option("--down", help="What was made of it, instead of what it was made of.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show whole digests.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tree as JSON.")] = False,
) -> None:
    """Show what a model or dataset came from, or what came of it.

    Upwards it ends at the digests of the raw files.
    """
    from pipelines.cli.console import console, print_json
    from pipelines.cli.naming import named
    from pipelines.cli.opened import workspace
    from resources.storage.provenance import ancestors, descendants

    opened = workspace()
    found = named(opened, name)
    node = (descendants if down else ancestors)(opened.store, found.digest)
    if as_json:
        print_json(_json(node))
    else:
        console().print(_tree(node, None, full=full, seen=set()))


def _tree(node: "Node", parent: "Tree | None", *, full: bool, seen: set[str]) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    from pipelines.cli.console import short

    digest = node.digest if full else short(node.digest)
    again = bool(node.children) and node.digest in seen
    label = Text.assemble((node.kind, "dim"), " ", node.title, " ", (digest, "cyan"), " (as above)" if again else "")
    tree = Tree(label) if parent is None else parent.add(label)
    if not again:
        seen.add(node.digest)
        for child in node.children:
            _tree(child, tree, full=full, seen=seen)
    return tree


def _json(node: "Node") -> dict[str, Any]:  # Any: JSON values
    return {
        "digest": node.digest,
        "kind": node.kind,
        "title": node.title,
        "children": [_json(child) for child in node.children],
    }
