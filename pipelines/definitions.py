"""The code location: everything that Dagster shows. Lies outside the autoloaded `catalog`, which would recurse."""

from pathlib import Path

import dagster as dg

from pipelines.build import build
from pipelines.discovery import Found, declared, declared_in_yaml, discover
from pipelines.names import CATALOG
from pipelines.upkeep import upkeep
from resources.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all pipelines, and of whatever else lies in the catalog."""
    settings = load_settings()
    discover(settings)  # refuses wrong declarations and shared names before anything is built
    modules: list[Found] = list(declared(CATALOG))
    for folder in settings.pipelines:
        modules += [*declared(folder), *declared_in_yaml(folder)]
    catalog = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(
        catalog,
        *(build(found.pipeline) for found in modules),
        upkeep(),
        dg.Definitions(executor=dg.in_process_executor),
    )
