"""`penstock new`: write a starter pipeline."""

import os
from pathlib import Path
from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="Name of the pipeline: lower-case letters, digits and _.")],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where to write it; the project's pipelines/catalog by default."),
    ] = None,
) -> None:
    """Write a commented starter pipeline that runs as it is.

    A name that is taken is refused. A folder outside the project must be named by PENSTOCK_PIPELINES to be seen.
    """
    from pipelines.names import CATALOG, files_of
    from pipelines.starter import write
    from resources.errors import DeclarationError
    from resources.settings import load_settings

    settings, target = load_settings(), (folder or CATALOG).absolute()
    if taken := files_of(name, settings, target):
        raise DeclarationError(f"{taken[0]} is there already: choose another name, or remove it")
    path = write(name, target)
    seen = target == CATALOG or target in [known.absolute() for known in settings.pipelines]
    print(f"Written: {_near(path)}")
    print("It runs as it is, on data that it generates itself. Next:")
    if not seen:
        print(f"  export PENSTOCK_PIPELINES={target}")
    print(f"  penstock run {name}")
    print(f"  penstock summary {name}")
    print(f"Then open {_near(path)} and change it; every part is explained there.")


def _near(path: Path) -> str:
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near
