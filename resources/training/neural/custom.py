"""Owns networks of the user's own: where their source lies, which is code of the pipeline, and how they are made.

A name is `module:function`. The module is looked for in the project, in the folders of PENSTOCK_PIPELINES and on
Python's path; finding it imports nothing.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from resources.canonical import digest_bytes, digest_value
from resources.errors import DeclarationError, TrainingError
from resources.modules import module_of
from resources.settings import PROJECT_ROOT, load_settings

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def source_of(field: str, name: str) -> Path:
    """Return the file of the module of `name`, or the folder of a package.

    Raises:
        DeclarationError: If `name` is malformed, or there is no such module.
    """
    if not _NAME.fullmatch(name):
        raise DeclarationError(f"{field}: {name!r} is not 'module:function', such as 'team.networks:wide'")
    module = name.partition(":")[0]
    for folder in _folders():
        stem = folder.joinpath(*module.split("."))
        if stem.with_suffix(".py").is_file():
            return stem.with_suffix(".py")
        if (stem / "__init__.py").is_file():
            return stem
    raise DeclarationError(
        f"{field}: there is no module {module!r} in the project, the folders of PENSTOCK_PIPELINES or on Python's "
        "path: correct the name, or put its folder on the path"
    )


def source_digest(field: str, name: str) -> str:
    """Return the digest of the source of the module of `name`; of a package, that of every module in it.

    Raises:
        DeclarationError: As `source_of`.
    """
    place = source_of(field, name)
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return digest_value(
        [[file.relative_to(place.parent).as_posix(), digest_bytes(file.read_bytes())] for file in files]
    )


def made(torch: Any, name: str, inputs: int, outputs: int, arguments: Mapping[str, Any]) -> Any:  # Any: torch.nn.Module
    """Return the network that the function `name` makes.

    Raises:
        TrainingError: If it cannot be imported, fails, or makes something else.
    """
    try:
        place = source_of("parameters.module", name)
    except DeclarationError as error:
        raise TrainingError(str(error)) from None
    function = _function(name, place)
    try:
        network = function(inputs, outputs, **arguments)
    except Exception as error:  # whatever the user's code raises
        told = _told(error)
        raise TrainingError(
            f"{name} called with {inputs} inputs, {outputs} outputs, {dict(arguments)}: {told}"
        ) from error
    if not isinstance(network, torch.nn.Module):
        raise TrainingError(f"{name} returned {type(network).__name__}, expected a torch.nn.Module: return one")
    return network


def run(name: str, network: Any, rows: Any) -> Any:  # Any: torch.nn.Module, torch.Tensor
    """Return what a network of the user's makes of `rows`, shape ``(rows, 1)``.

    Raises:
        TrainingError: If it fails, or gives another shape.
    """
    try:
        made = network(rows)
    except Exception as error:  # whatever the user's code raises
        told = _told(error)
        raise TrainingError(f"{name}: its network fails on a batch of shape {tuple(rows.shape)}: {told}") from error
    wanted, found = (len(rows), 1), tuple(getattr(made, "shape", ()))
    if found != wanted:
        what = f"shape {found}" if hasattr(made, "shape") else type(made).__name__
        raise TrainingError(
            f"{name}: its network gives {what} for a batch of shape {tuple(rows.shape)}, expected {wanted}: "
            "end it with as many outputs as it was asked for"
        )
    return made


def _folders() -> list[Path]:
    return [PROJECT_ROOT, *load_settings().pipelines, *(Path(folder or ".") for folder in sys.path)]


def _function(name: str, place: Path) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = _module(module_name, place)
    except Exception as error:  # whatever the user's code raises when it is imported
        raise TrainingError(f"{name} cannot be imported from {place}: {_told(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TrainingError(f"{place} has no function {function_name!r}, which `module` names: correct one of them")
    return function


def _module(name: str, place: Path) -> ModuleType:
    if not any(folder in place.parents for folder in load_settings().pipelines):
        return importlib.import_module(name)
    file = place if place.is_file() else place / "__init__.py"  # those folders are not on Python's path
    alias = f"penstock_networks_{digest_bytes(str(file).encode())[:8]}_{place.stem}"
    return module_of(file, alias)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")
