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
    """Tell which model is champion and why, what was measured, and what was blocked and why."""
    from pipelines.cli.console import print_json
    from pipelines.cli.tell import tell_summary
    from pipelines.summary import summarise
    from resources.settings import load_settings
    from resources.workspace import open_workspace

    found = summarise(open_workspace(load_settings()), pipeline, partition)
    if as_json:
        print_json(found.to_json())
    else:
        tell_summary(found)
