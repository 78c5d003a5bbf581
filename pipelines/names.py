"""Owns which names the files in the folders of pipelines bear. It imports none of them, so it costs nothing.

A file's name is that of its pipeline by habit, not by rule: it is a hint, `pipelines.discovery` knows.
"""

from pathlib import Path

from resources.settings import Settings

CATALOG = Path(__file__).parent / "catalog"


def files_of(name: str, settings: Settings, *more: Path) -> list[Path]:
    """Return the modules and `defs.yaml` files that bear `name`; `more` are folders beside those of the settings."""
    folders = dict.fromkeys((CATALOG, *settings.pipelines, *more))
    candidates = [file for folder in folders for file in (folder / f"{name}.py", folder / name / "defs.yaml")]
    return [file for file in candidates if file.is_file()]


def declared_names(settings: Settings) -> set[str]:
    """Return the names that the modules and folders of pipelines bear."""
    folders = [folder for folder in (CATALOG, *settings.pipelines) if folder.is_dir()]
    found = [file.stem for folder in folders for file in folder.glob("*.py")]
    found += [file.parent.name for folder in folders for file in folder.glob("*/defs.yaml")]
    return {name for name in found if not name.startswith("_")}
