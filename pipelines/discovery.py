"""Finds declared pipelines: modules and `defs.yaml` folders of the catalog and of the `PENSTOCK_PIPELINES` folders."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pipelines.spec import Pipeline
from resources.canonical import digest_bytes
from resources.errors import DeclarationError, PenstockError, SettingsError
from resources.names import nearest
from resources.settings import Settings, load_settings

CATALOG = Path(__file__).parent / "catalog"
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
    found: dict[str, Found] = {}
    for item in _all(settings or load_settings()):
        twin = found.get(item.pipeline.name)
        if twin is not None:
            raise DeclarationError(
                f"two pipelines are named {item.pipeline.name!r}: {twin.file} and {item.file}; rename one"
            )
        found[item.pipeline.name] = item
    return found


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


def modules(folder: Path) -> Iterator[tuple[Path, ModuleType]]:
    """Yield every module of `folder` whose name does not start with an underscore."""
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_"):
            yield file, _import(file)


def declared(folder: Path) -> Iterator[Found]:
    """Yield the pipelines that the modules of `folder` hold as values."""
    for file, module in modules(folder):
        for value in _distinct(vars(module).values()):
            if value.declared_at is None or value.declared_at[0] == file:
                yield Found(value, file)


def declared_in_yaml(folder: Path) -> Iterator[Found]:
    """Yield the pipelines that `defs.yaml` files below `folder` declare."""
    import yaml

    for file in sorted(folder.glob("**/defs.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if isinstance(document, dict) and document.get("type") == COMPONENT:
                try:
                    yield Found(Pipeline.parse(document.get("attributes")).declared_in(file), file)
                except DeclarationError as error:
                    raise DeclarationError(f"{file}: {error}") from None


def _all(settings: Settings) -> Iterator[Found]:
    for folder in (CATALOG, *settings.pipelines):
        if not folder.is_dir():
            raise SettingsError(f"PENSTOCK_PIPELINES: {folder} is no folder; create it or correct the setting")
        yield from declared(folder)
        yield from declared_in_yaml(folder)


def _import(file: Path) -> ModuleType:
    if file.parent == CATALOG:
        return importlib.import_module(f"pipelines.catalog.{file.stem}")
    name = f"penstock_pipelines_{digest_bytes(str(file.parent).encode())[:8]}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{file} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except PenstockError as error:
        del sys.modules[name]
        raise DeclarationError(f"{file}: {error}") from None
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _distinct(values: Iterable[object]) -> Iterator[Pipeline]:
    seen: set[int] = set()
    for value in values:
        if isinstance(value, Pipeline) and id(value) not in seen:
            seen.add(id(value))
            yield value
