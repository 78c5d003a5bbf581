"""`penstock list`: the pipelines there are."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.environment import prepare
from pipelines.cli.guard import DONE, ERROR

if TYPE_CHECKING:
    from pipelines.discovery import Found


def list_pipelines(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> int:
    """List the declared pipelines and their files.

    A file that does not load is told with its line, after those that do.

    Exit codes: 0 done; 1 a file does not load, or two pipelines share a name.
    """
    from pipelines.cli.console import print_json

    prepare()
    from pipelines.discovery import survey

    declared, wrong = survey()
    found = [item for _, item in sorted(declared.items())]
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
    else:
        _tell(found)
    for error in wrong:
        print(f"error: {error}", file=sys.stderr)
    return ERROR if wrong else DONE


def _tell(found: "list[Found]") -> None:
    from resources.settings import PROJECT_ROOT

    width = max((len(item.pipeline.name) for item in found), default=0)
    for item in found:
        file = item.file.relative_to(PROJECT_ROOT) if item.file.is_relative_to(PROJECT_ROOT) else item.file
        every = item.pipeline.partitions.every if item.pipeline.partitions else "unpartitioned"
        print(f"{item.pipeline.name.ljust(width)}  {every.ljust(13)}  {file}")
        if item.pipeline.description:
            print(f"  {item.pipeline.description}")
