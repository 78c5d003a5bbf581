"""`penstock data import`: a folder of raw files, such as images, becomes a version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resources.refs import FolderRef
    from resources.workspace import Workspace


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

    from pipelines.cli.console import print_json, size
    from pipelines.cli.opened import workspace
    from resources.refs import FolderRef
    from resources.storage import refs
    from resources.storage.folders import read_folder
    from resources.storage.layered import holder
    from resources.storage.objects import object_key
    from resources.storage.packing import put_folder

    opened = workspace()
    asset, partition = _split(name)
    _check_free(opened, asset, partition, name)
    digest = put_folder(opened.store, folder, scratch=opened.scratch)
    made = read_folder(opened.store, digest)
    ref = FolderRef(
        digest=digest,
        location=holder(opened.store, object_key(digest)).url,
        files=len(made.members),
        size_bytes=made.size_bytes,
    )
    refs.save(opened.store, opened.registry_name, asset, partition, ref)
    _record(opened, ref, asset, partition, folder)
    if as_json:
        print_json({"name": name, "stored": len(made.stored), **asdict(ref)})
        return
    print(f"{name}: {ref.files:,} files, {size(ref.size_bytes)}, version {digest[:12]}")
    print(f"stored as {len(made.stored):,} objects; fetch it by: penstock data pull {name}")


def _split(name: str) -> tuple[tuple[str, ...], str | None]:
    text, _, partition = name.partition("@")
    asset = tuple(text.split("/"))
    if len(asset) < 2 or not all(asset):
        raise typer.BadParameter(f"{name!r} is no name: give NAME/NAME or NAME/NAME@PARTITION, such as photos/raw")
    return asset, partition or None


def _check_free(opened: "Workspace", asset: tuple[str, ...], partition: str | None, name: str) -> None:
    """Refuse a name under which something lies that is no imported folder."""
    from resources.errors import ConflictError, ObjectMissing
    from resources.refs import FolderRef
    from resources.storage import refs

    try:
        found = refs.load(opened.store, opened.registry_name, asset, partition)
    except ObjectMissing:
        return
    if not isinstance(found, FolderRef):
        raise ConflictError(f"{name} is made by a pipeline: give the folder another name")


def _record(opened: "Workspace", ref: "FolderRef", asset: tuple[str, ...], partition: str | None, folder: Path) -> None:
    from datetime import UTC, datetime

    from resources.storage.provenance import Provenance, record

    made = Provenance(
        subject=ref.digest,
        kind="dataset",
        pipeline=asset[0],
        stage="/".join(asset[1:]),
        partition=partition or "",
        parameters={"folder": folder.absolute().name},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record(opened.store, made)
