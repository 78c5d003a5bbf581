"""Owns the loading of Python files that are not on Python's path, under names of their own."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from resources.errors import DeclarationError


def module_of(file: Path, name: str) -> ModuleType:
    """Return the module that `file` is, run once under `name`; one that fails leaves nothing behind.

    Raises:
        DeclarationError: If the file is no Python module.
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{file} cannot be imported as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
