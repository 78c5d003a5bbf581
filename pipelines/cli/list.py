"""`penstock list`: the pipelines there are."""

from typing import Annotated

import typer

from pipelines.cli.environment import prepare


def list_pipelines(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the declared pipelines and the files that declare them."""
    from pipelines.cli.console import print_json, print_table

    prepare()
    from pipelines.discovery import discover
    from resources.settings import PROJECT_ROOT

    found = [item for _, item in sorted(discover().items())]
    if as_json:
        print_json(
            [
                {
                    "name": item.pipeline.name,
                    "description": item.pipeline.description,
                    "partitions": item.pipeline.partitions.every if item.pipeline.partitions else None,
                    "file": str(item.file),
                }
                for item in found
            ]
        )
        return
    rows = [
        (
            item.pipeline.name,
            item.pipeline.partitions.every if item.pipeline.partitions else "-",
            item.pipeline.description,
            str(item.file.relative_to(PROJECT_ROOT) if item.file.is_relative_to(PROJECT_ROOT) else item.file),
        )
        for item in found
    ]
    print_table(("pipeline", "partitions", "what for", "declared in"), rows)
