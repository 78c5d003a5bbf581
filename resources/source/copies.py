"""Owns private copies of source files: for formats that jump about in a file, and for archives on web servers.

A copy lies in a scratch folder that goes with the process, whatever ends it.
"""

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from resources.errors import StoreError
from resources.storage.scratch import ScratchFolder

_PIECE_BYTES = 2**22


@contextmanager
def private_copy(file: IO[bytes], scratch: Path | None) -> Generator[Path]:
    """Return a copy of the rest of `file`, removed afterwards.

    Args:
        file: Open file.
        scratch: Folder below which the copy lies; None means the system's folder for temporary files.

    Raises:
        StoreError: If the scratch folder cannot be written.
    """
    parent = scratch or Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}"
    try:
        folder = ScratchFolder(parent)
    except OSError as error:
        raise _unwritable(parent, error) from error
    try:
        path = folder.path / "source"
        _copy(file, path, parent)
        yield path
    finally:
        folder.remove()


def _copy(file: IO[bytes], path: Path, parent: Path) -> None:
    with path.open("wb", buffering=0) as copy:
        while piece := file.read(_PIECE_BYTES):
            try:
                view = memoryview(piece)
                while view:
                    view = view[copy.write(view) :]
            except OSError as error:
                raise _unwritable(parent, error) from error


def _unwritable(scratch: Path, error: OSError) -> StoreError:
    full = error.errno == errno.ENOSPC
    reason = "the disk is full" if full else (error.strerror or str(error))
    remedy = "free some space or choose another folder" if full else "make it a writable folder or choose another"
    return StoreError(f"cannot copy the source to scratch folder {scratch}: {reason}; {remedy} (PENSTOCK_SCRATCH)")
