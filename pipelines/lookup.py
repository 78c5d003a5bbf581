"""Finds one pipeline by its name, without importing the others where its file bears its name."""

from pipelines.names import files_of
from pipelines.spec import Pipeline
from resources.settings import Settings


def find(name: str, settings: Settings) -> Pipeline:
    """Return the pipeline called `name`.

    Raises:
        DeclarationError: If there is none, naming the nearest, or if its declaration is wrong.
    """
    from pipelines.discovery import found_in, pipeline_named

    files = files_of(name, settings)
    if len(files) == 1:
        for item in found_in(files[0]):
            if item.pipeline.name == name:
                return item.pipeline
    return pipeline_named(name, settings)
