"""`penstock data recall`: bring an archived version back."""

from typing import Annotated

import typer


def recall(
    name: Annotated[str, typer.Argument(help="The digest of the version, or its first digits.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what came back as JSON.")] = False,
) -> None:
    """Bring an archived version back into the store, every byte verified.

    It stays for as long as the life cycle lets versions stay after their last use.
    """
    from pipelines.cli.console import print_json, short
    from pipelines.cli.opened import workspace
    from resources.errors import SettingsError
    from resources.storage.layered import own_layer
    from resources.storage.lifecycle.archive import recall_version
    from resources.storage.provenance import resolve
    from resources.wording import size
    from resources.workspace import archive_of

    opened = workspace()
    archive = archive_of(opened.settings)
    if archive is None:
        raise SettingsError("PENSTOCK_ARCHIVE is not set: set it to the store where archived versions lie")
    store = own_layer(opened.store)
    digest = resolve(store, name)
    size_bytes = recall_version(store, archive, digest)
    if as_json:
        print_json({"digest": digest, "size_bytes": size_bytes, "archive": archive.url})
    else:
        print(f"{short(digest)} is back from {archive.url}: {size(size_bytes)}, verified")
