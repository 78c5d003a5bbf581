"""Shared fixtures: where the real data lies."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data, or skip where a machine has none."""
    folder = Path(os.environ.get("PENSTOCK_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set PENSTOCK_TEST_DATA to the folder that holds bike_sharing/")
    return folder
