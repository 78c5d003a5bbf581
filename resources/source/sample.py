"""Owns the making of look-alike files for examples whose real data was not given.

The generator is a declared function; the same generator writes the same bytes, so its file is made once and kept.
"""

import importlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resources.canonical import digest_file, digest_value
from resources.errors import SourceError
from resources.source.spec import Source


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
        with _written(generator, folder, make) as path:
            _move(path.parent, folder)
    files = sorted(folder.iterdir())
    if len(files) != 1:
        raise SourceError(f"sample generator {generator} must write one file, {folder} holds {len(files)}: remove it")
    return files[0]


def sample_template(source: Source, scratch: Path) -> Path:
    """Return where the files of a sample of one file a partition lie, with `{partition}` for its key.

    Another generator, other code of it and another number of rows have files of their own.

    Raises:
        SourceError: If there is no such generator, or the number of rows is none.
    """
    _, version = _function(str(source.sample))
    folder = digest_value([version, rows_of(source)])[:16]
    return scratch / "samples" / folder / f"{{partition}}.{source.format}"


def partition_file(source: Source, scratch: Path, partition: str) -> Path:
    """Return the file of one partition of such a sample, made unless it is there.

    Raises:
        SourceError: If the generator does not write it.
    """
    path = Path(str(sample_template(source, scratch)).replace("{partition}", partition))
    if not path.exists():
        generator, rows = str(source.sample), rows_of(source)
        make, _ = _function(generator)
        with _written(generator, path.parent, lambda folder: make(folder, partition, rows)) as made:
            if made.name != path.name:
                raise SourceError(f"sample generator {generator} wrote {made.name}, expected {path.name}: correct it")
            path.parent.mkdir(exist_ok=True)
            _move(made, path)
    return path


def rows_of(source: Source) -> int | None:
    """Return the rows of a file of such a sample: the setting, or what is declared.

    Raises:
        SourceError: If the setting is no number from 1 on.
    """
    given = os.environ.get(source.sample_rows_env, "") if source.sample_rows_env else ""
    if not given:
        return source.sample_rows
    if not (given.isascii() and given.isdigit() and int(given)):
        raise SourceError(f"{source.sample_rows_env}={given!r} is no number of rows: give a whole number from 1 on")
    return int(given)


def _function(generator: str) -> tuple[Callable[..., Path], str]:
    module_name, _, name = generator.partition(":")
    try:
        module = importlib.import_module(module_name)
        make = getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"sample generator {generator!r} cannot be imported: {error}") from error
    path = getattr(sys.modules[module_name], "__file__", None)
    return make, digest_value([generator, digest_file(Path(path)) if path else ""])


@contextmanager
def _written(generator: str, beside: Path, make: Callable[[Path], Any]) -> Generator[Path]:  # Any: what it returns
    """Yield the file that `make` wrote into an empty folder beside `beside`, which is removed afterwards."""
    aside = beside.with_name(f"{beside.name}.{secrets.token_hex(4)}")
    try:
        aside.mkdir(parents=True)
        written = Path(make(aside))
        if written.parent != aside or not written.is_file():
            raise SourceError(f"sample generator {generator} returned {written}, expected a file in {aside}")
        yield written
    except OSError as error:
        raise SourceError(
            f"sample generator {generator} cannot write {error.filename or aside}: {error.strerror or error}; make "
            "room there, or choose another folder (PENSTOCK_SCRATCH)"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move(made: Path, place: Path) -> None:
    """Put what was made in its place, unless another process was first: what it put there must not be replaced."""
    try:
        if made.is_dir():
            made.rename(place)
        else:
            os.link(made, place)
    except OSError:
        if not place.exists():
            raise
