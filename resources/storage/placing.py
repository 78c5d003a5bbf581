"""Owns how one file comes to a second place without being written twice: as a reflink, a hard link, or a copy."""

import errno
import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Literal

Way = Literal["reflink", "link", "copy"]
_FICLONE = 0x40049409  # linux/fs.h
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


def place(source: Path, target: Path, *, link: bool) -> Way:
    """Make `target` a file with the bytes of `source`, by the cheapest way that there is.

    Args:
        source: A finished file.
        target: A path at which there is nothing.
        link: Whether both may be one file, so that who writes to one writes to the other.

    Returns:
        How it was done.
    """
    if reflink(source, target):
        return "reflink"
    if link:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        else:
            return "link"
    shutil.copyfile(source, target)
    return "copy"


def reflink(source: Path, target: Path) -> bool:
    """Make `target` share the blocks of `source` until one is written to; return False where the file system cannot."""
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            with suppress(FileNotFoundError):
                target.unlink()
            return False
    return True
