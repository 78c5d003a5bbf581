"""Owns the making of look-alike files for examples whose real data was not given.

The generator is a declared function; the same generator writes the same bytes, so its file is made once and kept.
"""

import importlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from resources.canonical import digest_file, digest_value
from resources.errors import SourceError


def sample_file(generator: str, scratch: Path) -> Path:
    """Return the file that `generator` writes, made anew only if the generator's code changed.

    Args:
        generator: `module:function`; the function is called with an empty folder and returns the path it wrote.
        scratch: Folder below which the file is kept.

    Raises:
        SourceError: If there is no such function, or it writes no file.
    """
    make, version = _function(generator)
    folder = scratch / "samples" / version[:16]
    if not folder.is_dir():
        _generate(generator, make, folder)
    files = sorted(folder.iterdir())
    if len(files) != 1:
        raise SourceError(f"sample generator {generator} must write one file, {folder} holds {len(files)}: remove it")
    return files[0]


def _function(generator: str) -> tuple[Callable[[Path], Path], str]:
    module_name, _, name = generator.partition(":")
    try:
        module = importlib.import_module(module_name)
        make = getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"sample generator {generator!r} cannot be imported: {error}") from error
    path = getattr(sys.modules[module_name], "__file__", None)
    return make, digest_value([generator, digest_file(Path(path)) if path else ""])


def _generate(generator: str, make: Callable[[Path], Path], folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    aside.mkdir(parents=True)
    try:
        written = Path(make(aside))
        if written.parent != aside or not written.is_file():
            raise SourceError(f"sample generator {generator} returned {written}, expected a file in {aside}")
        try:
            os.rename(aside, folder)  # noqa: PTH104 (a folder that another process put there first must not be replaced)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
