"""`penstock data import`: a folder of raw files, such as images, becomes a version."""

from pathlib import Path
from typing import Annotated

import typer


def import_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of files of any kind; it must not change meanwhile.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it: photos/raw, or photos/raw@2026-11.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was stored as JSON.")] = False,
) -> None:
    """Store a folder of raw files as one version, small files packed together, and name it.

    Importing it again under the same name replaces what the name means; the versions before stay until they are
    garbage.
    """
    from dataclasses import asdict

    from pipelines.cli.console import print_json
    from pipelines.cli.opened import workspace
    from pipelines.cli.stored_as import GivenName
    from resources.refs import FolderRef
    from resources.storage.folders import read_folder
    from resources.storage.layered import holder
    from resources.storage.objects import object_key
    from resources.storage.packing import put_folder
    from resources.wording import size

    opened = workspace()
    given = GivenName.parse(name)
    given.check_free(opened)
    digest = put_folder(opened.store, folder, scratch=opened.scratch)
    made = read_folder(opened.store, digest)
    ref = FolderRef(
        digest=digest,
        location=holder(opened.store, object_key(digest)).url,
        files=len(made.members),
        size_bytes=made.size_bytes,
    )
    given.save(opened, ref, parameters={"folder": folder.absolute().name})
    if as_json:
        print_json({"name": name, "stored": len(made.stored), **asdict(ref)})
        return
    print(f"{name}: {ref.files:,} files, {size(ref.size_bytes)}, version {digest[:12]}")
    print(f"stored as {len(made.stored):,} objects; fetch it by: penstock data pull {name}")
