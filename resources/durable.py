"""Owns the flushing of files and folders to the disk, so that they outlive a loss of power."""

import ctypes
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


def sync_file_system(path: Path) -> None:
    """Flush everything on the file system of `path`: for thousands of new files that is one call, not one each."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if flush is None:  # macOS
            os.sync()
        elif flush(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)
