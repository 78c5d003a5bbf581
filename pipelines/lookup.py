"""Finds one pipeline by its name, without importing the others where its file bears its name."""

import importlib
import importlib.util

from pipelines.spec import Pipeline
from resources.settings import Settings

CATALOG = "pipelines.catalog"


def find(name: str, settings: Settings) -> Pipeline:
    """Return the pipeline called `name`.

    Raises:
        DeclarationError: If there is none, naming the nearest, or if its declaration is wrong.
    """
    if name.isidentifier() and importlib.util.find_spec(f"{CATALOG}.{name}") is not None:
        value = getattr(importlib.import_module(f"{CATALOG}.{name}"), name, None)
        if isinstance(value, Pipeline) and value.name == name:
            return value
    from pipelines.discovery import pipeline_named

    return pipeline_named(name, settings)
