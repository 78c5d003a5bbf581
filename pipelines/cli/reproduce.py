"""`penstock reproduce`: train a model again from its own bundle and compare bit for bit."""

from typing import Annotated

import typer

from pipelines.cli.guard import BLOCKED, DONE


def reproduce(
    model: Annotated[str, typer.Argument(help="Digest or first digits of a model, or a pipeline (its champion).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> int:
    """Make a model again and compare digests.

    Exit codes: 0 bit for bit the same; 1 an error; 3 it differs, and what differs is told.
    """
    from dataclasses import asdict

    from pipelines.cli.console import print_json, short
    from pipelines.cli.naming import model_named
    from pipelines.cli.opened import workspace
    from resources.training.reproduce import reproduce as make_again

    opened = workspace()
    found = make_again(opened, model_named(opened, model))
    if as_json:
        print_json(asdict(found))
    elif found.equal:
        print(f"Model {short(found.expected)} was made again, bit for bit the same.")
    else:
        same = ", though the model file itself is the same" if found.model_equal else ""
        print(f"Model {short(found.expected)} was not reproduced: got {short(found.actual)}{same}.")
        for difference in found.differences:
            print(f"  - {difference}")
    return DONE if found.equal else BLOCKED
