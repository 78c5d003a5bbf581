"""Owns what a command needs of its environment before anything heavy is imported."""

import gc
import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SILENT = {"DAGSTER_DISABLE_TELEMETRY": "yes", "GX_ANALYTICS_ENABLED": "false", "DVC_NO_ANALYTICS": "1"}
"""Nothing that a command imports reports to anyone."""
_GARBAGE_THRESHOLDS = (50_000, 20, 50)


def prepare() -> None:
    """Name the Dagster instance of this project, unless the user has another, and silence telemetry.

    Importing Dagster makes hundreds of thousands of objects that stay; with Python's own thresholds the garbage
    collector looks through them again and again, for a third of a second.
    """
    os.environ.setdefault("DAGSTER_HOME", str(PROJECT_ROOT))
    os.environ.update(SILENT)
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
