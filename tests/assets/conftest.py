"""Fixtures of the tests of assets and checks."""

from collections.abc import Generator
from pathlib import Path

import pytest

from resources import wiring
from resources.settings import load_settings
from resources.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Workspace]:
    """Open an empty workspace, which the resource of Dagster opens too."""
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    wiring._opened.cache_clear()
    yield open_workspace(load_settings())
    wiring._opened.cache_clear()
