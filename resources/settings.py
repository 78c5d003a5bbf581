"""Owns the settings: read from `PENSTOCK_*` environment variables, checked once, then frozen.

It opens nothing; `resources.workspace` does.
"""

import difflib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from resources.errors import SettingsError, StoreError
from resources.storage.refs import CANDIDATES
from resources.storage.store import check_url
from resources.storage.verified import Mode

PROJECT_ROOT = Path(__file__).resolve().parents[1]
CodecSetting = Literal["auto", "none", "lz4", "zstd"]
_PREFIX = "PENSTOCK_"
_TEST_PREFIX = "PENSTOCK_TEST_"
_UNITS = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000 ** (power + 1) for power, letter in enumerate("KMGTP")},
    **{f"{letter}IB": 1024 ** (power + 1) for power, letter in enumerate("KMGTP")},
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[KMGTP]I?)?B|)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable, for the table in the documentation."""

    name: str
    default_text: str
    meaning: str


SETTINGS: tuple[Setting, ...] = (
    Setting("PENSTOCK_HOME", ".penstock", "Folder for everything that has no place of its own."),
    Setting(
        "PENSTOCK_STORE",
        "$PENSTOCK_HOME/store",
        "Where data, models and reports lie: a folder, `s3://bucket/prefix`, `file:///folder` or `memory://name`. "
        "Credentials come from `AWS_*` variables, never from the URL.",
    ),
    Setting(
        "PENSTOCK_BASE_STORE",
        "(none)",
        "A store that is only ever read, such as production's: what your own store lacks is read through from it, "
        "everything new goes to your own. Only `penstock data push` writes there.",
    ),
    Setting(
        "PENSTOCK_ENCRYPTION_KEY",
        "(none)",
        "File of 32 random bytes, mode 0600, that your own store is encrypted with, from its first write on; "
        "`penstock data key --new` makes one. Unset, it is not encrypted.",
    ),
    Setting(
        "PENSTOCK_BASE_ENCRYPTION_KEY",
        "(none)",
        "The same for the base store, for another store that `penstock data push` writes to, and for the archive.",
    ),
    Setting(
        "PENSTOCK_BASE_PROFILE",
        "(none)",
        "Profile of the AWS configuration that the base store, another store that `penstock data push` writes to, and "
        "the archive are reached by (`endpoint_url`, `region`, credentials, `ca_bundle`), whatever the `AWS_*` "
        "variables say. Unset, these hold for all stores.",
    ),
    Setting(
        "PENSTOCK_ARCHIVE",
        "(none)",
        "Where versions go that nothing needs and nobody used for long: a store as above, say a bucket with a cold "
        "storage class.",
    ),
    Setting(
        "PENSTOCK_KEY", "$PENSTOCK_HOME/keys/signing.pem", "Private ed25519 key, made on first use with mode 0600."
    ),
    Setting(
        "PENSTOCK_TRUSTED_KEYS", "(none)", "Folder of public keys (`*.pem`) whose signatures count beside your own."
    ),
    Setting("PENSTOCK_REGISTRY", "main", "Name of the registry in which models are promoted."),
    Setting("PENSTOCK_PIPELINES", "(none)", "More folders that hold pipelines, joined by `:`."),
    Setting(
        "PENSTOCK_REPORTS_URL",
        "(none)",
        "Where browsers reach the reports that `penstock dev` or `penstock report --serve` serves, such as "
        "`http://127.0.0.1:3001`: assets and checks then link them in the web UI. Unset, they name the file only.",
    ),
    Setting(
        "PENSTOCK_SCRATCH", "$PENSTOCK_HOME/scratch", "Folder for unfinished files; best on the disk of the store."
    ),
    Setting(
        "PENSTOCK_CACHE",
        "$PENSTOCK_SCRATCH/cache",
        "Folder for local copies of what a remote store holds, on a local disk; all processes of a host may share it.",
    ),
    Setting(
        "PENSTOCK_CACHE_BYTES",
        "(none)",
        "Most bytes in that folder: a number, or one with a unit as `20GB` or `20GiB`. Unset, it is half of what is "
        "free on its disk, the cache itself counted as free, judged anew at each download.",
    ),
    Setting(
        "PENSTOCK_CODEC",
        "auto",
        "What shards for the loader (features of pipelines, `penstock pack`) are compressed by where they lie: `none`, "
        "`lz4`, `zstd`; `auto` is zstd behind an object store if it saves a fifth of the first shard, else none.",
    ),
    Setting(
        "PENSTOCK_CHECKPOINT_S",
        "60.0",
        "Seconds between two checkpoints of a long training, in `$PENSTOCK_SCRATCH/training`.",
    ),
    Setting(
        "PENSTOCK_VERIFY",
        "first",
        "When a process hashes local copies and the files of a folder store: at their `first` read (and again if time, "
        "size or inode change), `always`, or `never`. What comes over the network is verified in any case.",
    ),
)
"""Every setting there is; relative paths are relative to the project root."""


class Settings(BaseModel):
    """The settings in effect.

    Attributes:
        home: Folder for everything that has no place of its own.
        store: URL or folder of the store.
        base_store: URL or folder of a store that is only read, or None.
        encryption_key: File of the key of an encrypted store, or None.
        base_encryption_key: That of the base store, or None.
        base_profile: Profile of the AWS configuration by which stores other than one's own are reached, or None.
        archive: URL or folder of the archive, or None.
        key: Private signing key.
        trusted_keys: Folder of further public keys, or None.
        registry: Name of the registry.
        pipelines: Further folders of pipelines.
        reports_url: Where browsers reach the reports, without a slash at the end, or None.
        scratch: Folder for unfinished files.
        cache: Folder for local copies of what a remote store holds.
        cache_bytes: Most bytes in it, or None for a share of the disk.
        codec: What shards for the loader are compressed by.
        checkpoint_s: Seconds between two checkpoints of a long training.
        verify: When local files are hashed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    store: str
    base_store: str | None = None
    encryption_key: Path | None = None
    base_encryption_key: Path | None = None
    base_profile: str | None = None
    archive: str | None = None
    key: Path
    trusted_keys: Path | None = None
    registry: str = "main"
    pipelines: tuple[Path, ...] = ()
    reports_url: str | None = None
    scratch: Path
    cache: Path
    cache_bytes: int | None = None
    codec: CodecSetting = "auto"
    checkpoint_s: float = 60.0
    verify: Mode = "first"


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of `env`, by default of this process; an empty value counts as unset.

    Raises:
        SettingsError: If a `PENSTOCK_*` name is unknown, or a value cannot be used.
    """
    given = {name: value for name, value in (os.environ if env is None else env).items() if name.startswith(_PREFIX)}
    _refuse_unknown(given)
    values = {name.removeprefix(_PREFIX): value for name, value in given.items() if value}
    home = _path("PENSTOCK_HOME", values.get("HOME", ".penstock"))

    def path(name: str, default: Path) -> Path:
        return _path(_PREFIX + name, values[name]) if name in values else default

    scratch = path("SCRATCH", home / "scratch")
    store = _store("PENSTOCK_STORE", values["STORE"]) if "STORE" in values else str(home / "store")
    return Settings(
        home=home,
        store=store,
        base_store=_base_store(values["BASE_STORE"], store, values.get("BASE_PROFILE"))
        if "BASE_STORE" in values
        else None,
        encryption_key=path("ENCRYPTION_KEY", home) if "ENCRYPTION_KEY" in values else None,
        base_encryption_key=path("BASE_ENCRYPTION_KEY", home) if "BASE_ENCRYPTION_KEY" in values else None,
        base_profile=values.get("BASE_PROFILE"),
        archive=_store("PENSTOCK_ARCHIVE", values["ARCHIVE"]) if "ARCHIVE" in values else None,
        key=path("KEY", home / "keys" / "signing.pem"),
        trusted_keys=path("TRUSTED_KEYS", home) if "TRUSTED_KEYS" in values else None,
        registry=_registry(values.get("REGISTRY", "main")),
        pipelines=tuple(
            _path("PENSTOCK_PIPELINES", item) for item in values.get("PIPELINES", "").split(os.pathsep) if item
        ),
        reports_url=_reports_url(values["REPORTS_URL"]) if "REPORTS_URL" in values else None,
        scratch=scratch,
        cache=path("CACHE", scratch / "cache"),
        cache_bytes=parse_bytes("PENSTOCK_CACHE_BYTES", values["CACHE_BYTES"]) if "CACHE_BYTES" in values else None,
        codec=_codec(values.get("CODEC", "auto")),
        checkpoint_s=_seconds("PENSTOCK_CHECKPOINT_S", values["CHECKPOINT_S"]) if "CHECKPOINT_S" in values else 60.0,
        verify=_verify(values.get("VERIFY", "first")),
    )


def parse_bytes(name: str, text: str) -> int:
    """Return the bytes that `text` tells, such as `20GB`; `name` is what it was given for.

    Raises:
        SettingsError: If it is no size above 0.

    >>> parse_bytes("--rate", "1.5 MB")
    1500000
    """
    found = _SIZE.fullmatch(text.strip())
    size_bytes = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size_bytes <= 0:
        raise SettingsError(f"{name}={text!r} is no size: give bytes above 0, or a number with a unit as 20GB or 20GiB")
    return size_bytes


def check_registry_name(name: str) -> str:
    """Return `name` if it can name a registry.

    Raises:
        SettingsError: If it holds anything but letters, digits, `-`, `_` and inner dots.
    """
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name.startswith("."):
        raise SettingsError(f"PENSTOCK_REGISTRY={name!r}: a registry name has letters, digits, '-', '_' and inner '.'")
    return name


def _registry(name: str) -> str:
    if name == CANDIDATES:
        raise SettingsError(f"PENSTOCK_REGISTRY={name!r} holds what others offer by `penstock data push`: name another")
    return check_registry_name(name)


def _refuse_unknown(given: Mapping[str, str]) -> None:
    known = [setting.name for setting in SETTINGS]
    for name in sorted(given):
        if name not in known and not name.startswith(_TEST_PREFIX):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise SettingsError(f"{name} is no setting: did you mean {near}? Unset it, or see docs/settings.md")


def _path(name: str, text: str) -> Path:
    if "\0" in text or "://" in text:
        raise SettingsError(f"{name} must be a path of this machine, got a URL or a NUL: give a folder or file")
    try:
        return PROJECT_ROOT / Path(text).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{name}={text!r}: {error}; write the path out") from error


def _reports_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        parts, fits = urlsplit(""), False
    if not fits or "@" in parts.netloc or parts.query or parts.fragment:
        shown = "" if "@" in text else f"={text!r}"  # what stands before an @ may be a password
        raise SettingsError(
            f"PENSTOCK_REPORTS_URL{shown} is no plain address of a web server: give one such as http://127.0.0.1:3001"
        )
    return text.rstrip("/")


def _codec(text: str) -> CodecSetting:
    for codec in get_args(CodecSetting):
        if text == codec:
            return codec
    raise SettingsError(f"PENSTOCK_CODEC={text!r}: give auto, none, lz4 or zstd")


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < math.inf:
        raise SettingsError(f"{name}={text!r} is no number of seconds above 0: give one, such as 60")
    return seconds


def _verify(text: str) -> Mode:
    for mode in get_args(Mode):
        if text == mode:
            return mode
    raise SettingsError(f"PENSTOCK_VERIFY={text!r}: give first, always or never")


def _store(name: str, text: str) -> str:
    if "://" not in text:
        return str(_path(name, text))
    try:
        check_url(text)
    except StoreError as error:
        raise SettingsError(f"{name}: {error}") from None
    return text


def _base_store(text: str, own: str, profile: str | None) -> str:
    base = _store("PENSTOCK_BASE_STORE", text)
    # Two servers may have buckets of one name.
    if _place(base) == _place(own) and not (profile and check_url(base) == "s3"):
        raise SettingsError(
            f"PENSTOCK_BASE_STORE and PENSTOCK_STORE are the same store {own}: a base is only read; name another store "
            "to write to (PENSTOCK_STORE), or unset PENSTOCK_BASE_STORE"
        )
    return base


def _place(store: str) -> str:
    """Return what is equal for two ways to write one store's URL."""
    if check_url(store) != "file":
        return store.rstrip("/")
    return str(Path(unquote(urlsplit(store).path) if "://" in store else store).resolve())
