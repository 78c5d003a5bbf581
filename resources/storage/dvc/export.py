"""Owns the export of a version to DVC: its list of files in the store, its `.dvc` file in a repository."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from resources.durable import sync_folder
from resources.errors import SourceError, StoreError
from resources.storage.dvc.outs import dvc_file, out_of, put_out
from resources.storage.dvc.repository import Remote, ignore_in_git, make_repository, remote_for, repository_of
from resources.storage.encrypted import is_encrypted
from resources.storage.files import borrowed, put_file
from resources.storage.garbage.guard import deletions, settle
from resources.storage.garbage.pins import pin, pins
from resources.storage.garbage.walk import own_keys
from resources.storage.layered import own_layer
from resources.storage.objects import get_object, put_object
from resources.storage.store import Store
from resources.storage.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes:
        file: The `.dvc` file.
        root: Root of the DVC repository.
        remote: The remote that is the store.
    """

    file: Path
    root: Path
    remote: Remote


def export(store: Store, found: Version, folder: Path, *, name: str, called: str) -> Exported:
    """Have stock DVC pull the version `found` in `folder`, and pin it; no file of the version is read.

    Only what a base store holds is copied to one's own, which is the remote.

    Args:
        store: Where the version lies.
        found: The version.
        folder: Folder for the `.dvc` file; in a DVC repository, or made one.
        name: What the version was asked for by; kept in the file.
        called: What the data is called in `folder`.

    Raises:
        StoreError: If the store is encrypted or in memory, or fails.
        SourceError: If the file cannot be written, or `called` is no file name.
    """
    if is_encrypted(store):
        raise StoreError(
            f"store {store.url} is encrypted, so DVC cannot read it: fetch the files by `penstock data pull`"
        )
    if not called or called != Path(called).name:
        raise SourceError(f"{called!r} is no file name: give a plain name to --as")
    own = own_layer(store)
    if own is not store:
        _bring(store, own, found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        root = repository_of(folder) or make_repository(folder)
        remote = remote_for(own, root)
        _keep(own, found, name)
        out = out_of(store, found)
        put_out(own, out)
        file = folder / f"{called}.dvc"
        text = dvc_file(
            out, path=called, version=found.digest, name=name, remote=None if remote.is_default else remote.name
        )
        _write(file, text)
        ignore_in_git(root, folder / called)
    except OSError as error:
        raise SourceError(
            f"cannot write {error.filename or folder}: {error.strerror or error}; make it writable, or name another"
        ) from error
    return Exported(file=file, root=root, remote=remote)


def _bring(store: Store, own: Store, found: Version) -> None:
    before = deletions(own)
    for file in found.files.values():
        if not own.exists(file.key):
            with borrowed(store, [file]) as [path]:
                put_file(own, path)
    settle(own, lambda: own_keys(found)[1:], since=before)
    put_object(own, get_object(store, found.digest))


def _keep(own: Store, found: Version, name: str) -> None:
    """Pin the version: no collector of garbage sees who has the `.dvc` file."""
    if found.digest not in {item.digest for item in pins(own)}:
        pin(own, found.digest, name=name, reason="exported to DVC")


def _write(file: Path, text: str) -> None:
    aside = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    with aside.open("w", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    aside.replace(file)
    sync_folder(file.parent)
