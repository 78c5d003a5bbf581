"""Owns the flushing of files and folders to the disk, so that they outlive a loss of power, and texts written aside."""

import ctypes
import errno
import os
import secrets
from pathlib import Path

from resources.errors import StoreError


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


def write_text(path: Path, text: str, *, remedy: str) -> None:
    """Write a text aside and give it its name, in a folder that is made if need be; of several writers the last wins.

    Raises:
        StoreError: If it cannot be written, with the remedy.
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; {remedy}") from error


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
