"""Owns what of the surroundings may decide a model's bits: training code, lock file, library versions."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from resources.canonical import digest_file
from resources.settings import PROJECT_ROOT
from resources.training.code_version import code_version

if TYPE_CHECKING:
    from resources.training.recipe import TrainingRecipe

LOCK_FILE = PROJECT_ROOT / "requirements.lock"
_SHARED = (
    "resources.transform.expressions",
    "resources.transform.sql_text",
    "resources.transform.steps",
    "resources.transform.fitted",
    "resources.training.samples",
    "resources.training.train",
    "resources.training.window",
    "quality.profile",
    "quality.profiles",
    "quality.histogram",
)
_OWN = {
    "lightgbm": ("resources.training.cursor", "resources.training.lightgbm", "resources.training.lightgbm_parameters"),
    "sklearn": ("resources.training.estimators", "resources.training.sklearn", "resources.training.skops_file"),
}


def training_code_version(recipe: "TrainingRecipe") -> str:
    """Return the version of the code that trains `recipe`, and of the recipe itself."""
    return code_version(*_SHARED, *_OWN[recipe.trainer], declaration=recipe.to_json())


def lock_digest() -> str:
    """Return the digest of the lock file, or an empty text where an installation has none."""
    return digest_file(LOCK_FILE) if LOCK_FILE.is_file() else ""


def library_versions(libraries: Sequence[str]) -> dict[str, str]:
    """Return name to major.minor version of installed libraries; a patch release keeps a model's bits."""
    return {name: ".".join(version(name).split(".")[:2]) for name in sorted(libraries)}
