"""Owns what DVC calls a version: its `.dvc` file and, for several files, the `.dir` object that lists them.

Both are made of the digests in the manifest: no file is read or copied, for every stored file already lies where a DVC
remote has it. DVC itself is not needed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.canonical import DIGEST_LENGTH, is_hex
from resources.errors import SourceError, StoreError
from resources.storage.content import StoredFile, describe_bytes
from resources.storage.garbage.guard import deletions, settle
from resources.storage.objects import get_object
from resources.storage.store import Store
from resources.storage.versions import Version

META = "penstock"
_DIR = ".dir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """One output, as a `.dvc` file names it.

    Attributes:
        key: Where every DVC remote and cache has it.
        content: The bytes there: the list of the files, or the single object.
        md5: What DVC calls it; ends in `.dir` for several files.
        size_bytes: Bytes of all files.
        files: How many they are; None for a single object.
    """

    key: str
    content: bytes
    md5: str
    size_bytes: int
    files: int | None


def out_of(store: Store, found: Version) -> Out:
    """Return what DVC calls the version `found`."""
    if found.kind == "object":
        data = get_object(store, found.digest)
        file = describe_bytes(data)[0]
        return Out(key=file.key, content=data, md5=file.md5, size_bytes=file.size_bytes, files=None)
    data = dir_object(found.files)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() + _DIR
    key = f"files/md5/{md5[:2]}/{md5[2:]}"
    return Out(key=key, content=data, md5=md5, size_bytes=found.size_bytes, files=len(found.files))


def dir_object(files: Mapping[str, StoredFile]) -> bytes:
    """Return the list of `files`, byte for byte as DVC writes it.

    >>> dir_object({"b": StoredFile(digest="0" * 64, md5="1" * 32, size_bytes=0)})
    b'[{"md5": "11111111111111111111111111111111", "relpath": "b"}]'
    """
    listed = [{"md5": files[name].md5, "relpath": name} for name in sorted(files)]
    return json.dumps(listed, sort_keys=True).encode()


def put_out(store: Store, out: Out) -> None:
    """Put under DVC's key what the store lacks of it; its files are there already.

    Raises:
        StoreError: If something else lies there, or the store cannot be written.
    """
    before = deletions(store)
    if not store.create(out.key, out.content) and store.get(out.key) != out.content:
        raise StoreError(f"{out.key} in store {store.url} holds something else: delete it, then export again")
    settle(store, lambda: [out.key], since=before)


def dvc_file(out: Out, *, path: str, version: str, name: str, remote: str | None) -> str:
    """Return the text of the `.dvc` file.

    Args:
        out: The output.
        path: Its name in the folder of the `.dvc` file.
        version: Digest of the version.
        name: What it was asked for by.
        remote: Name of the DVC remote that has it; None for the default one.
    """
    import yaml

    entry: dict[str, Any] = {"md5": out.md5, "size": out.size_bytes}  # Any: YAML values
    if out.files is not None:
        entry["nfiles"] = out.files
    entry |= {"hash": "md5", "path": path} | ({"remote": remote} if remote else {})
    return yaml.safe_dump(
        {"outs": [entry], "meta": {META: {"version": version, "name": name}}}, sort_keys=False, allow_unicode=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What a `.dvc` file of Penstock points to.

    Attributes:
        version: Digest of the version.
        target: Where its files belong.
    """

    version: str
    target: Path


def read_dvc_file(file: Path) -> Pointer:
    """Return what the `.dvc` file points to.

    Raises:
        SourceError: If it cannot be read, or Penstock did not write it.
    """
    import yaml

    try:
        value = yaml.safe_load(file.read_bytes())
        version, path = str(value["meta"][META]["version"]), str(value["outs"][0]["path"])
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SourceError(f"cannot read {file}: {error}") from error
    except (KeyError, IndexError, TypeError):
        raise SourceError(f"{file} names no version of Penstock: pull it with `dvc pull {file.name}`") from None
    if len(version) != DIGEST_LENGTH or not is_hex(version):
        raise SourceError(f"{file} names the version {version!r}, which is no digest: export it again")
    return Pointer(version=version, target=file.parent / path)
