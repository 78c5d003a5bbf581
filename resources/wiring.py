"""Makes the plain objects of `resources` Dagster resources; the only module here that imports Dagster."""

from functools import cache
from typing import Any

import dagster as dg
from pydantic import Field

from resources.refs import Ref, from_json, to_json
from resources.settings import load_settings
from resources.storage import refs
from resources.workspace import Workspace, open_workspace


class WorkspaceResource(dg.ConfigurableResource[None]):
    """Store, signing key and registry of this process, as the `PENSTOCK_*` settings say."""

    registry: str = Field(
        default="",
        description="Registry to judge and deploy in; empty means PENSTOCK_REGISTRY. A backtest has its own.",
    )

    def open(self) -> Workspace:
        """Return the workspace, opened once a process."""
        return _opened(self.registry)


class RefIOManager(dg.ConfigurableIOManager):
    """Keeps hand-over values as small JSON in the store, one a partition; never tables.

    An input of one partition is loaded as the value itself, an input whose `metadata` says `{"window": True}`
    as a mapping of partition key to value; the key is empty where there are no partitions.
    """

    workspace: WorkspaceResource

    def handle_output(self, context: dg.OutputContext, obj: Ref) -> None:
        """Save `obj` as the current value of the asset's partition."""
        partition = context.partition_key if context.has_asset_partitions else None
        checked = from_json(to_json(obj))
        workspace = self.workspace.open()
        refs.save(workspace.store, workspace.registry_name, context.asset_key.path, partition, checked)

    def load_input(self, context: dg.InputContext) -> Any:  # Any: a Ref, or a mapping of them
        """Load the value of the upstream partition, or a mapping of them for a window.

        Raises:
            ObjectMissing: If a partition was never materialized, naming it and the command that does.
        """
        workspace = self.workspace.open()
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else [None]
        loaded = {
            key or "": refs.load(workspace.store, workspace.registry_name, context.asset_key.path, key) for key in keys
        }
        return loaded if (context.definition_metadata or {}).get("window") else loaded[keys[0] or ""]


@cache
def _opened(registry: str) -> Workspace:
    return open_workspace(load_settings(), registry=registry or None)
