"""`penstock rollback`: make an earlier champion champion again."""

from typing import Annotated

import typer


def rollback(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the log for ever.")],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIGEST", help="First digits of an earlier champion; the one before by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the new entry as JSON.")] = False,
) -> None:
    """Return to an earlier champion.

    The log is only added to. The model that was left is not promoted again unless it is named here.
    """
    from pipelines.cli.console import print_json, short
    from pipelines.cli.opened import workspace
    from pipelines.summary import check_known, entry_json
    from resources.errors import ObjectMissing
    from resources.storage.provenance import resolve

    if not reason.strip():
        raise typer.BadParameter("say why: --reason TEXT must not be empty")
    opened = workspace()
    check_known(opened, pipeline)
    registry = opened.registry(pipeline)
    before = registry.champion()
    if before is None:
        raise ObjectMissing(f"pipeline {pipeline!r} has no champion yet, so there is nothing to return from")
    entry = registry.rollback(to=resolve(opened.store, to) if to else None, reason=reason.strip())
    if as_json:
        print_json(entry_json(entry))
        return
    print(f"Champion of {pipeline} is model {short(entry.model.digest)} again; {short(before.model.digest)} was left.")
    print(f"  entry {entry.sequence} by {entry.actor}: {entry.reason}")
