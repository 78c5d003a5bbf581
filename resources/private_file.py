"""Owns files that hold a secret: made once with mode 0600, refused where others can read them."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from resources.durable import sync
from resources.errors import SettingsError


def write_secret(path: Path, data: bytes, *, what: str, setting: str) -> bool:
    """Write `data` to the new file `path`, durably; return False, changing nothing, if there is a file already.

    Args:
        path: Where it goes; folders are made with mode 0700.
        data: The secret.
        what: How people call it.
        setting: Environment variable that names the path.

    Raises:
        SettingsError: If it cannot be written.
    """
    aside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)  # never replaces the key that another process made meanwhile
        sync(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise SettingsError(
            f"cannot make the {what} {path}: {error.strerror}; set {setting} to a writable path"
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return True


def read_secret(path: Path, *, what: str) -> bytes:
    """Return the bytes of `path`.

    Raises:
        SettingsError: If it cannot be read, or others can read it too.
    """
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingsError(f"cannot read the key {path}: {error.strerror}; check its owner and mode") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"the {what} {path} can be read by others: chmod 600 {path}")
    return data
