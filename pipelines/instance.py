"""Owns where the Dagster instance keeps its state: `.penstock/dagster`, whatever the working folder.

`dagster.yaml` names this class. Everything it says about storage, artifacts or logs there (a Postgres server, an S3
log folder) still wins: only the defaults are moved.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData


class PenstockInstance(DagsterInstance):
    """A plain Dagster instance whose default folders lie under `PENSTOCK_HOME`.

    Dagster calls the two methods below on the class that `instance_class` names, before it makes the instance.
    """

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:  # Any: Dagster's own field types
        """Return the additional keys of dagster.yaml: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Return Dagster's own defaults for the folder that `state_folder` names."""
        return InstanceRef.config_defaults(str(state_folder(Path(base_dir))))


def state_folder(home: Path) -> Path:
    """Return the folder of Dagster's state for a `DAGSTER_HOME` of `home`.

    `PENSTOCK_HOME` may be absolute or relative to `home`; without it the folder is `home`/.penstock/dagster.
    """
    return home / Path(os.environ.get("PENSTOCK_HOME") or ".penstock").expanduser() / "dagster"
