"""Owns the flushing of files and folders to the disk, so that they outlive a loss of power."""

import errno
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder, where its file system can do that."""
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):  # some network file systems flush no folders
            raise
