"""`penstock suggest`: a contract and a suite that healthy partitions speak for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from quality.suggestions import Suggested


def suggest(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    *,
    partition: Annotated[
        list[str] | None,
        typer.Option("--partition", metavar="KEY", help="A partition to learn from; may be given again."),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the YAML there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print contract, suite and evidence as JSON.")] = False,
) -> None:
    """Suggest a contract and a Great Expectations suite, each rule with its evidence.

    They are learned from the raw partitions of the pipeline that its contract did not block, the newest 24 by default.
    """
    from pipelines.cli.opened import workspace
    from pipelines.suggesting import suggested_for
    from quality.suggestions import as_yaml
    from resources.durable import write_text

    found = suggested_for(workspace(), pipeline, partition)
    if as_json:
        from pipelines.cli.console import print_json

        print_json(_json(found))
    elif to is None:
        print(as_yaml(found), end="")
    else:
        write_text(to, as_yaml(found), remedy="choose another file")
        print(f"{len(found.rules)} rules of {len(found.partitions)} partitions: {to}")


def _json(found: "Suggested") -> dict[str, object]:
    return {
        "partitions": list(found.partitions),
        "rows": found.rows,
        "contract": found.contract.model_dump(mode="json", exclude_defaults=True),
        "expectations": found.suite(),
    }
