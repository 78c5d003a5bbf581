"""Owns the repository of a DVC user: finding or making it, its remote for a store, its cache.

DVC's own code reads and writes its configuration; it is imported here, in the functions that need it.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.errors import StoreError
from resources.storage.access import environment_endpoint
from resources.storage.store import Store, redact

if TYPE_CHECKING:
    from dvc.config import Config

REMOTE = "penstock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """The DVC remote that a store is.

    Attributes:
        name: What the repository calls it.
        is_default: Whether DVC uses it where nothing else is named.
        added: Whether it was written to the configuration just now.
    """

    name: str
    is_default: bool
    added: bool


def repository_of(folder: Path) -> Path | None:
    """Return the root of the DVC repository that `folder` lies in, or None."""
    return next((parent for parent in _up(folder) if (parent / ".dvc").is_dir()), None)


def make_repository(folder: Path) -> Path:
    """Make a DVC repository as `dvc init` would, and return its root.

    In a git repository that is the root of that, elsewhere `folder`, without git.

    Raises:
        StoreError: If DVC refuses.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    git = next((parent for parent in _up(folder) if (parent / ".git").exists()), None)
    try:
        Repo.init(str(git or folder), no_scm=git is None).close()
    except DvcException as error:
        raise StoreError(f"cannot make a DVC repository in {git or folder}: {error}") from error
    return git or folder.absolute()


def remote_for(store: Store, root: Path) -> Remote:
    """Return the remote of the repository that is `store`, written to its configuration if there was none.

    The configuration gets URL and endpoint, never credentials.

    Raises:
        StoreError: If no DVC remote can reach the store, or the configuration cannot be read or written.
    """
    wanted = _remote_config(store)
    config: Any = _config(root)  # Any: DVC has no types
    default = config["core"].get("remote")
    for name, section in config["remote"].items():
        if _same_remote(section, wanted):
            return Remote(name=name, is_default=name == default, added=False)
    name = next(name for number in range(1, 1000) if (name := _numbered(number)) not in config["remote"])
    changed: Any  # Any: DVC has no types
    with config.edit("repo") as changed:
        changed["remote"][name] = wanted
        if default is None:
            changed["core"]["remote"] = name
    return Remote(name=name, is_default=default is None, added=True)


def cache_of(root: Path) -> Path:
    """Return the folder in which DVC keeps files by MD5."""
    return Path(_config(root)["cache"].get("dir") or root / ".dvc" / "cache")


def ignore_in_git(root: Path, output: Path) -> None:
    """Have git ignore an output, as `dvc add` does, if the repository uses git."""
    if _config(root)["core"].get("no_scm"):
        return
    file, line = output.parent / ".gitignore", f"/{output.name}"
    text = ""
    with suppress(FileNotFoundError):
        text = file.read_text(encoding="utf-8")
    if line not in text.splitlines():
        file.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n", encoding="utf-8")


def _remote_config(store: Store) -> dict[str, Any]:  # Any: values of a DVC configuration
    parts = urlsplit(store.url)
    if parts.scheme == "memory":
        raise StoreError(f"store {store.url} lives in one process, DVC cannot reach it: use a folder or S3")
    if parts.scheme != "s3":
        return {"url": store.url}
    endpoint = _bare(environment_endpoint())
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return {
        "url": store.url,
        **({"endpointurl": endpoint} if endpoint else {}),
        **({"region": region} if region else {}),
    }


def _config(root: Path) -> "Config":
    from dvc.config import Config, ConfigError

    try:
        return Config(dvc_dir=str(root / ".dvc"))
    except ConfigError as error:
        raise StoreError(f"cannot read the DVC configuration of {root}: {error}; mend .dvc/config") from error


def _bare(endpoint: str) -> str:
    """Return an endpoint without whatever may be a secret in it."""
    return urlsplit(redact(endpoint))._replace(query="", fragment="").geturl()


def _same_remote(section: Any, wanted: dict[str, Any]) -> bool:  # Any: values of a DVC configuration
    """Return whether a remote is the wanted one; buckets of one name lie at many endpoints."""
    endpoints = [(item.get("endpointurl") or "").rstrip("/") for item in (section, wanted)]
    return endpoints[0] == endpoints[1] and _same_place(section.get("url", ""), wanted["url"])


def _same_place(one: str, other: str) -> bool:
    if "://" in one or "://" in other:
        return one.rstrip("/") == other.rstrip("/")
    return Path(one).resolve() == Path(other).resolve()


def _numbered(number: int) -> str:
    return REMOTE if number == 1 else f"{REMOTE}-{number}"


def _up(folder: Path) -> list[Path]:
    start = folder.absolute()
    return [start, *start.parents]
