"""Owns the checks of state: signing key, folders and who may write to them, the store, free disk space."""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.doctor.finding import Finding, of
from resources.errors import PenstockError
from resources.settings import PROJECT_ROOT, Settings

LOW_BYTES = 2_000_000_000


def signing_key(settings: Settings) -> list[Finding]:
    """Look whether the private key is there, ours, and readable by nobody else."""
    path = settings.key
    try:
        found = path.stat()
    except FileNotFoundError:
        return [Finding("ok", f"no signing key yet; it is made at {path} on first use")]
    except OSError as error:
        return [of(error, remedy=f"give this user access to {path.parent}, or set PENSTOCK_KEY to another file")]
    if not stat.S_ISREG(found.st_mode):
        what = f"the signing key {path} is no file"
        return [Finding("broken", what, "set PENSTOCK_KEY to the file itself")]
    if found.st_uid != os.geteuid():
        what = f"the signing key {path} belongs to user {found.st_uid}, not to you ({os.geteuid()})"
        return [Finding("unsafe", what, f"chown {os.geteuid()} {path}, or set PENSTOCK_KEY to a key of your own")]
    if mode := stat.S_IMODE(found.st_mode) & 0o077:
        what = f"others may use the signing key {path} (mode {stat.S_IMODE(found.st_mode):04o})"
        remedy = f"chmod 600 {path}; make a new key if somebody else may have read it (mode bits {mode:03o})"
        return [Finding("unsafe", what, remedy)]
    return _loadable(path)


def _loadable(path: Path) -> list[Finding]:
    from resources.signing import load_keyring

    try:
        (key_id,) = load_keyring(path, None).keys
    except PenstockError as error:
        return [of(error, remedy=f"put the right key back, or move {path} away: a new one is made on first use")]
    return [Finding("ok", f"signing key {key_id} at {path}, readable by you alone")]


def encryption_keys(settings: Settings) -> list[Finding]:
    """Look whether the keys of encrypted stores are there, whole, and readable by nobody else."""
    from resources.storage.data_key import load_user_key
    from resources.storage.sealing import key_id

    given = {
        "PENSTOCK_ENCRYPTION_KEY": settings.encryption_key,
        "PENSTOCK_BASE_ENCRYPTION_KEY": settings.base_encryption_key,
    }
    findings: list[Finding] = []
    for name, path in given.items():
        if path is None:
            continue
        try:
            found = key_id(load_user_key(path)).hex()
        except PenstockError as error:
            unsafe = path.exists() and bool(path.stat().st_mode & 0o077)
            remedy = f"put the right key at {path} with mode 0600, or set {name} to another file"
            findings.append(of(error, remedy=remedy, level="unsafe" if unsafe else "broken"))
        else:
            findings.append(Finding("ok", f"encryption key {found} at {path}, readable by you alone"))
    return findings


def folders(settings: Settings) -> list[Finding]:
    """Look for folders of code, state or trust that everybody may write to."""
    trusted = (settings.trusted_keys,) if settings.trusted_keys else ()
    stores = [settings.store, *([settings.base_store] if settings.base_store else [])]
    local_store = [Path(store) for store in stores if "://" not in store]
    looked_at = (
        PROJECT_ROOT,
        settings.home,
        settings.key.parent,
        *(key.parent for key in (settings.encryption_key, settings.base_encryption_key) if key),
        settings.scratch,
        settings.cache,
        *local_store,
        *settings.pipelines,
        *trusted,
    )
    findings = [finding for folder in dict.fromkeys(looked_at) for finding in _folder(folder)]
    return findings or [Finding("ok", "nobody else may write to the folders of code, state and keys")]


def _folder(folder: Path) -> list[Finding]:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [of(error, remedy=f"give this user access to {folder}")]
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        what = f"everybody may write to {folder} and so alter code, data or trusted keys"
        return [Finding("unsafe", what, f"chmod o-w {folder}")]
    if found.st_uid not in (os.geteuid(), 0):
        what = f"{folder} belongs to user {found.st_uid}, who can alter what is in it"
        return [Finding("note", what, f"chown -R {os.geteuid()} {folder}, unless that user is trusted")]
    return []


def store(settings: Settings) -> list[Finding]:
    """Write, read, list and remove one small object."""
    from resources.workspace import own_store_of

    key = f"doctor/{secrets.token_hex(8)}"
    content = b"probe of penstock doctor; may be deleted"
    try:
        opened = own_store_of(settings)
        created = opened.create(key, content)
        try:
            sound = created and not opened.create(key, b"") and opened.get(key) == content and opened.list("doctor")
        finally:
            opened.delete(key)
    except PenstockError as error:
        return [of(error, remedy="set PENSTOCK_STORE to a folder or bucket that you may read and write")]
    if not sound:
        what = f"the store {opened.url} does not refuse to overwrite, or does not give back what was written"
        return [Finding("broken", what, "use a store with conditional writes (If-None-Match), such as S3 or SeaweedFS")]
    return [Finding("ok", f"the store {opened.url} can be written, read and cleaned")]


def base_store(settings: Settings) -> list[Finding]:
    """Look whether the base store can be read, and how many of its refs one's own hide; nothing is written to it."""
    from resources.workspace import base_store_of, own_store_of

    base = base_store_of(settings)
    if base is None:
        return []
    try:
        offered = set(base.list("refs"))
    except PenstockError as error:
        return [of(error, remedy="set PENSTOCK_BASE_STORE to a store that you may read, or unset it")]
    if not offered:
        what = f"the base store {base.url} holds no refs: nothing was ever materialized there"
        return [Finding("note", what, "check PENSTOCK_BASE_STORE, or unset it")]
    try:
        hidden = offered.intersection(own_store_of(settings).list("refs"))
    except PenstockError:  # told by the check of one's own store
        hidden = set[str]()
    found = Finding("ok", f"the base store {base.url} can be read; it is never written")
    if not hidden:
        return [found]
    what = (
        f"{len(hidden)} of {len(offered)} values of the base store are hidden by values of your own, as {min(hidden)}"
    )
    return [found, Finding("note", what, "delete a ref from your own store to see the base's value again")]


def disk(settings: Settings) -> list[Finding]:
    """Look at the free space where data and unfinished files go."""
    local_store = {"store": Path(settings.store)} if "://" not in settings.store else {}
    findings: list[Finding] = []
    for name, folder in {"home": settings.home, "scratch": settings.scratch, **local_store}.items():
        free = shutil.disk_usage(_existing(folder)).free
        if free < LOW_BYTES:
            remedy = f"free some space, or set PENSTOCK_{name.upper()} to a larger disk"
            findings.append(Finding("note", f"only {free / 1e9:.1f} GB are free for {folder}", remedy))
    disk_bytes = shutil.disk_usage(_existing(settings.cache)).total
    if (settings.cache_bytes or 0) > disk_bytes:
        what = (
            f"PENSTOCK_CACHE_BYTES={settings.cache_bytes:,} exceeds the disk of {settings.cache} ({disk_bytes:,} bytes)"
        )
        findings.append(Finding("note", what, "lower it, or set PENSTOCK_CACHE to a larger disk"))
    free = shutil.disk_usage(_existing(settings.home)).free
    return findings or [Finding("ok", f"{free / 1e9:.0f} GB are free for {settings.home}")]


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


STATE: Mapping[str, Callable[[Settings], list[Finding]]] = {
    "signing key": signing_key,
    "encryption keys": encryption_keys,
    "folders": folders,
    "store": store,
    "base store": base_store,
    "disk": disk,
}
