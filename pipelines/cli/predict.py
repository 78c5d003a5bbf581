"""`penstock predict`: score a file with the champion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.environment import prepare

if TYPE_CHECKING:
    from resources.source import EventTime, Source
    from resources.training.bundle import Bundle
    from resources.workspace import Workspace


def predict(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline whose champion predicts.")],
    file: Annotated[str, typer.Argument(help="Raw rows: .csv, .parquet, .jsonl or .arrow, a path or fsspec URL.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="Where to write: .parquet, .csv, .jsonl or .arrow.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="DIGEST", help="Another model of the pipeline, by its first digits."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="CHAR", help="Column separator of a CSV file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Score a file of raw rows with the champion.

    The rows go through the very transform that the model was trained with. The label may be missing. A file that breaks
    the contract is refused, with counts and the first rows; nothing is written then. The model's signature is verified.
    """
    from pipelines.cli.console import print_json, short
    from pipelines.cli.naming import champion, model_named
    from pipelines.cli.opened import workspace
    from pipelines.scoring import check_output, score, write
    from resources.errors import ContractError
    from resources.training.bundle import read_bundle

    check_output(output)
    opened = workspace()
    digest = model_named(opened, model) if model else champion(opened, pipeline).digest
    bundle = read_bundle(opened.store, digest, keyring=opened.keyring)
    if bundle.lineage["pipeline"] != pipeline:
        raise ContractError(f"model {short(digest)} is of pipeline {bundle.lineage['pipeline']!r}, not {pipeline!r}")
    event_time = _event_time(opened, bundle, pipeline)
    frame = score(bundle, file, scratch=opened.scratch, source=_source(file, delimiter), event_time=event_time)
    write(frame, output)
    if as_json:
        print_json({"model": digest, "pipeline": pipeline, "rows": frame.height, "output": str(output)})
    else:
        print(f"{frame.height:,} rows scored by model {short(digest)} of {pipeline}: {output}")


def _source(file: str, delimiter: str | None) -> "Source | None":
    from resources.source import Source

    return Source(url=file, options={"delimiter": delimiter}) if delimiter else None


def _event_time(opened: "Workspace", bundle: "Bundle", pipeline: str) -> "EventTime | None":
    """Return the pipeline's event time if the model needs it; loading a declaration takes seconds."""
    from pipelines.scoring import needs_declaration

    if not needs_declaration(bundle):
        return None
    prepare()
    from pipelines.lookup import find

    return find(pipeline, opened.settings).ingest.event_time
