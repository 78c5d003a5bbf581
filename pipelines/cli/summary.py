"""`penstock summary`: who is champion and why, every judgement with intervals, what was blocked."""

from typing import Annotated

import typer


def summary(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    partition: Annotated[
        list[str] | None,
        typer.Option("--partition", "-p", metavar="KEY", help="Only this partition; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Tell what was measured, promoted and blocked, and why.

    Which model is champion, every judgement with its interval, and what a check or the gate stopped.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.opened import workspace
    from pipelines.cli.tell import tell_summary
    from pipelines.summary import check_known, check_partitions, summarise

    opened = workspace()
    check_known(opened, pipeline)
    check_partitions(opened, pipeline, partition or ())
    found = summarise(opened, pipeline, partition)
    if as_json:
        print_json(found.to_json())
    else:
        tell_summary(found)
