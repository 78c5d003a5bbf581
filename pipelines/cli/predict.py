"""`penstock predict`: score a file with the champion."""

from pathlib import Path
from typing import Annotated

import typer


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
    What its last report learned tells how good the predictions will be once labels come.
    """
    from pipelines.cli.console import print_json, short
    from pipelines.cli.naming import champion, model_named
    from pipelines.cli.opened import workspace
    from pipelines.expecting import expected, told
    from pipelines.scoring import check_output, score, write
    from resources.errors import ContractError
    from resources.training.bundle import read_bundle

    check_output(output)
    opened = workspace()
    digest = model_named(opened, model) if model else champion(opened, pipeline).digest
    bundle = read_bundle(opened.store, digest, keyring=opened.keyring)
    if bundle.lineage["pipeline"] != pipeline:
        raise ContractError(f"model {short(digest)} is of pipeline {bundle.lineage['pipeline']!r}, not {pipeline!r}")
    frame = score(bundle, file, scratch=opened.scratch, delimiter=delimiter)
    write(frame, output)
    found = expected(opened, bundle, frame)
    if as_json:
        done = {"model": digest, "pipeline": pipeline, "rows": frame.height, "output": str(output)}
        print_json({**done, "expected": None if found is None else found.to_json()})
    else:
        print(f"{frame.height:,} rows scored by model {short(digest)} of {pipeline}: {output}")
        print(told(found))
