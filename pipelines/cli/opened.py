"""Opens the workspace that the settings name, for commands that need nothing of Dagster."""

from resources.settings import load_settings
from resources.workspace import Workspace, open_workspace


def workspace(registry: str | None = None) -> Workspace:
    """Return the workspace of the `PENSTOCK_*` settings, with another registry if one is named."""
    return open_workspace(load_settings(), registry=registry)
