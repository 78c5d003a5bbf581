"""`penstock data advise`: how fast a dataset loads, and what to change."""

from typing import Annotated

import typer


def advise(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="A dataset, NAME@VERSION or a digest; or files or folders, as the loader takes them.",
        ),
    ],
    *,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=600, help="How long to measure, about.")] = 5.0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Rows of a batch.")] = 4096,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts, measurements and advice as JSON.")] = False,
) -> None:
    """Measure how fast a dataset loads on this machine, and say what to change, the largest gain first.

    It looks at a sample of the shards, loads it in each order, packs it into scratch and loads it again. Nothing of the
    dataset is changed.
    """
    from dataclasses import asdict

    from pipelines.cli.console import print_json, print_table
    from pipelines.cli.opened import workspace
    from resources.loader.advice.measure import examine
    from resources.loader.advice.rules import advise as advised
    from resources.loader.advice.rules import limits
    from resources.loader.sources import source_of

    opened = workspace()
    source = source_of(data if len(data) > 1 else data[0], opened.store)
    facts, measured = examine(source, scratch=opened.scratch, seconds=seconds, batch_size=batch_size)
    advice, told = advised(facts, measured), limits(facts, measured)
    if as_json:
        print_json(
            {
                "facts": asdict(facts),
                "measured": asdict(measured),
                "advice": [asdict(one) for one in advice],
                "limits": [asdict(one) for one in told],
            }
        )
        return
    rows = [(one.what, one.found, one.advice, _gain(one.gain)) for one in [*advice, *told]]
    print_table(("what", "found", "advice or limit", "gain"), rows, right=("gain",))
    if not advice:
        print("nothing to gain was found")


def _gain(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}x" if value >= 100 else f"{value:#.3g}x".replace(".x", "x")
