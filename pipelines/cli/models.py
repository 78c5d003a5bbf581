"""`penstock models`: the registry log."""

from typing import Annotated

import typer


def models(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="NAME", help="Another registry, such as that of a backtest.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the log as JSON.")] = False,
) -> None:
    """Show which models were champion, when, by whom and why.

    The log is verified from its first entry: chain, signatures and sequence.
    """
    from pipelines.cli.console import print_json, print_table, short
    from pipelines.cli.opened import workspace
    from pipelines.cli.tell import WHOLE, deciding
    from pipelines.summary import check_known, entry_json

    opened = workspace(registry)
    check_known(opened, pipeline)
    entries = opened.registry(pipeline).entries()
    measured = {entry.report: deciding(opened, entry.report) for entry in entries}
    if as_json:
        log = [{**entry_json(entry), "metric": measured[entry.report]} for entry in entries]
        print_json({"pipeline": pipeline, "registry": opened.registry_name, "verified": True, "entries": log})
        return
    if not entries:
        print(f"{pipeline} has no champion in registry {opened.registry_name!r} yet: the gate let no model pass.")
        return
    rows = [
        (
            f"{entry.sequence}{' champion' if entry is entries[-1] else ''}",
            entry.action,
            entry.partition or WHOLE,
            short(entry.model.digest),
            measured[entry.report] or "-",
        )
        for entry in entries
    ]
    print_table(("#", "action", "judged on", "model", "metric"), rows)
    print()
    for entry in entries:
        print(f"{entry.sequence} by {entry.actor} at {entry.at[:19]}Z: {entry.reason}")
    print()
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    keys = ", ".join(sorted({entry.key_id for entry in entries}))
    print(f"{count}; chain and signatures verified (key {keys}).")
