"""Finds declared pipelines: modules and `defs.yaml` folders of the catalog and of the `PENSTOCK_PIPELINES` folders.

A file that does not load is refused with its name and line; the files beside it can still be looked at (`survey`).
"""

import importlib
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pipelines.names import CATALOG
from pipelines.spec import Pipeline
from resources.canonical import digest_bytes
from resources.errors import DeclarationError, PenstockError, SettingsError
from resources.modules import module_of
from resources.names import nearest
from resources.settings import Settings, load_settings

COMPONENT = "pipelines.component.PipelineComponent"


@dataclass(frozen=True, slots=True)
class Found:
    """A pipeline and the file that declares it."""

    pipeline: Pipeline
    file: Path


def discover(settings: Settings | None = None) -> dict[str, Found]:
    """Return every declared pipeline by name.

    Raises:
        DeclarationError: If a declaration is wrong, or two share a name, naming the files.
        SettingsError: If a folder of PENSTOCK_PIPELINES does not exist.
    """
    found, wrong = survey(settings)
    if wrong:
        raise wrong[0]
    return found


def survey(settings: Settings | None = None) -> tuple[dict[str, Found], list[DeclarationError]]:
    """Return every declared pipeline by name, and what is wrong with the files that declare none.

    Raises:
        SettingsError: If a folder of PENSTOCK_PIPELINES does not exist.
    """
    found: dict[str, Found] = {}
    wrong: list[DeclarationError] = []
    for file in _files(settings or load_settings()):
        try:
            for item in found_in(file):
                _add(item, found)
        except DeclarationError as error:
            wrong.append(error)
    return found, wrong


def _add(item: Found, found: dict[str, Found]) -> None:
    twin = found.get(item.pipeline.name)
    if twin is not None:
        raise DeclarationError(
            f"two pipelines are named {item.pipeline.name!r}: {twin.file} and {item.file}; rename one"
        )
    found[item.pipeline.name] = item


def pipeline_named(name: str, settings: Settings | None = None) -> Pipeline:
    """Return the pipeline called `name`.

    Raises:
        DeclarationError: If there is none, naming those there are.
    """
    found = discover(settings)
    if name not in found:
        raise DeclarationError(
            f"no pipeline {name!r}; there are {', '.join(sorted(found)) or 'none'}{nearest(name, found)}"
        )
    return found[name].pipeline


def declared(folder: Path) -> Iterator[Found]:
    """Yield the pipelines that the modules of `folder` hold as values."""
    for file in _modules(folder):
        yield from found_in(file)


def declared_in_yaml(folder: Path) -> Iterator[Found]:
    """Yield the pipelines that `defs.yaml` files below `folder` declare."""
    for file in _yaml_files(folder):
        yield from found_in(file)


def found_in(file: Path) -> Iterator[Found]:
    """Yield the pipelines that one module or `defs.yaml` declares.

    Raises:
        DeclarationError: If it does not load, naming file and line.
    """
    try:
        found = _in_yaml(file) if file.suffix == ".yaml" else _in_module(file)
    except Exception as error:  # whatever the code of a pipeline raises when it is imported
        told = str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}".replace("\n", " ")
        raise DeclarationError(f"{_place(error, file)}: {told}") from error
    yield from found


def _files(settings: Settings) -> Iterator[Path]:
    for folder in (CATALOG, *settings.pipelines):
        if not folder.is_dir():
            raise SettingsError(f"PENSTOCK_PIPELINES: {folder} is no folder; create it or correct the setting")
        yield from _modules(folder)
        yield from _yaml_files(folder)


def _modules(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.py")) if not file.name.startswith("_")]


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("**/defs.yaml"))


def _in_module(file: Path) -> list[Found]:
    values = _distinct(vars(_import(file)).values())
    return [Found(value, file) for value in values if value.declared_at is None or value.declared_at[0] == file]


def _in_yaml(file: Path) -> list[Found]:
    import yaml

    documents = [item for item in yaml.safe_load_all(file.read_text(encoding="utf-8")) if isinstance(item, dict)]
    attributes = [document.get("attributes") for document in documents if document.get("type") == COMPONENT]
    return [Found(Pipeline.parse(value).declared_in(file), file) for value in attributes]


def _place(error: Exception, file: Path) -> str:
    """Return `file` with the line in it that raised `error`, if there is one."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file}:{error.lineno}"
    if (mark := getattr(error, "problem_mark", None)) is not None:  # of a YAML error
        return f"{file}:{mark.line + 1}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _import(file: Path) -> ModuleType:
    if file.parent == CATALOG:
        return importlib.import_module(f"pipelines.catalog.{file.stem}")
    name = f"penstock_pipelines_{digest_bytes(str(file.parent).encode())[:8]}_{file.stem}"
    return module_of(file, name)


def _distinct(values: Iterable[object]) -> Iterator[Pipeline]:
    seen: set[int] = set()
    for value in values:
        if isinstance(value, Pipeline) and id(value) not in seen:
            seen.add(id(value))
            yield value
