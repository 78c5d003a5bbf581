"""Owns the version of code: a digest of source bytes and of the declaration, made without importing anything."""

from pathlib import Path

from resources.canonical import canonical_json, digest_bytes, digest_value
from resources.errors import DeclarationError

VERSION_LENGTH = 16
_ROOT = Path(__file__).resolve().parents[2]


def code_version(*modules: str, declaration: object, root: Path = _ROOT) -> str:
    """Return the version of the named modules and a declaration, 16 hex digits.

    Args:
        modules: Dotted names under `root`; a package stands for every module in it.
        declaration: JSON value of the declaration that the code runs with.
        root: Folder that holds the top-level packages; the repository's root.

    Raises:
        DeclarationError: If there is no such module.
    """
    files = {path for name in modules for path in _files(root, name)}
    sources = {path.relative_to(root).as_posix(): digest_bytes(path.read_bytes()) for path in files}
    return digest_value({"sources": sources, "declaration": digest_bytes(canonical_json(declaration))})[:VERSION_LENGTH]


def _files(root: Path, module: str) -> list[Path]:
    stem = root.joinpath(*module.split("."))
    file = stem.with_suffix(".py")
    if file.is_file():
        return [file]
    files = sorted(stem.rglob("*.py"))
    if not files:
        raise DeclarationError(f"code_version: no module {module!r} under {root}: neither {file} nor a package {stem}")
    return files
