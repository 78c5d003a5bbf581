"""`penstock data pull`: the files of a version, verified, in a folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def pull(
    name: Annotated[
        str, typer.Argument(help="What `penstock data show` takes, or a .dvc file that `penstock data export` wrote.")
    ],
    target: Annotated[
        Path | None, typer.Argument(help="Folder to make, or file if it is a single object; by default named as NAME.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Write files that may be changed, instead of read-only links.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what stands at the target.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was pulled as JSON.")] = False,
) -> None:
    """Fetch the files of a version into a folder, several at a time, every byte verified.

    In a DVC repository its cache is filled too, so that `dvc pull` has nothing left to do. An imported folder is
    unpacked, but where its .dvc file says that DVC has its archives, there they are put.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.data.export import file_name
    from pipelines.cli.naming import named
    from pipelines.cli.opened import workspace
    from resources.storage.dvc.outs import read_dvc_file
    from resources.storage.dvc.repository import cache_of, repository_of
    from resources.storage.pull import pull as fetch
    from resources.storage.versions import version
    from resources.wording import size

    opened = workspace()
    if name.endswith(".dvc"):
        pointer = read_dvc_file(Path(name))
        digest, place, packed = pointer.version, target or pointer.target, target is None
    else:
        digest, place, packed = named(opened, name).digest, target or Path(file_name(name)), False
    root = repository_of(place.absolute().parent)
    cache = None if root is None else cache_of(root)
    found = version(opened.store, digest)
    done = fetch(opened.store, found, place, dvc_cache=cache, packed=packed, copy=copy, force=force)
    if as_json:
        print_json({**asdict(done), "target": str(done.target), "version": digest, "dvc_cache": cache and str(cache)})
    elif done.unchanged:
        print(f"{done.target} holds version {digest[:12]} already")
    else:
        print(f"{done.target}: {done.files:,} files, {size(done.size_bytes)}, version {digest[:12]}")
