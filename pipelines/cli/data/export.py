"""`penstock data export`: what stock DVC needs to pull a version."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.data.show import NAME_HELP


def export(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    folder: Annotated[
        Path, typer.Argument(help="Folder for the .dvc file; a DVC repository is made if there is none.")
    ],
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What the data is called there; by default by its name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write the .dvc file of a version, so that stock DVC pulls it straight from the store.

    No data is read or copied: the store is a DVC remote. Credentials are never written.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.naming import named
    from pipelines.cli.opened import workspace
    from resources.storage.dvc.export import export as write
    from resources.storage.versions import version

    opened = workspace()
    found = version(opened.store, named(opened, name).digest)
    done = write(opened.store, found, folder, name=name, called=as_name or file_name(name))
    if as_json:
        print_json(
            {"file": str(done.file), "version": found.digest, "remote": done.remote.name, "repository": str(done.root)}
        )
        return
    print(f"wrote {done.file}: {found.kind} {found.digest[:12]}, {len(found.files) or 1:,} files")
    if done.remote.added:
        print(f"added remote {done.remote.name} to {done.root / '.dvc' / 'config'}; credentials come from AWS_*")
    print(f"next: cd {folder} && dvc pull {done.file.name}")


def file_name(name: str) -> str:
    """Return what the data that `name` names is called in a folder.

    >>> file_name("bike_demand/raw@2012-01")
    'bike_demand_raw_2012-01'
    """
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return plain.strip("._") or "data"
