"""Shared fixtures: where the real data lies. With PENSTOCK_TEST_REQUIRE=1, as in CI, a skipped test fails.

It also has the longest files begin.
"""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A slow example is a busy machine, not a wrong answer; pytest's own timeout ends a test that hangs.
settings.register_profile("penstock", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)  # for `make check`; `make test` tries a hundred
settings.load_profile("penstock")

# A shell that starts the tests in the background has them ignore Ctrl-C, and with them every process that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
REQUIRE = "PENSTOCK_TEST_REQUIRE"
NOT_HERE = "not here: "
"""A skip whose reason starts so is one that no installation can mend (another platform, root may do everything)."""
LONGEST = (
    "test_triggers.py",
    "test_readme.py",
    "test_cli_run.py",
    "test_killed_runs.py",
    "test_killed_writers.py",
    "test_crash_matrix.py",
    "test_backtest.py",
    "test_web_pages.py",
    "test_base_store.py",
    "test_sensor_daemon.py",
    "test_cli_models.py",
    "test_cli_data.py",
    "test_instance.py",
)
"""Files that take long, the longest first. Two workers get one file after the other (see PYTEST in the Makefile)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files and end with the many short ones, so that both workers end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, Any]:
    """Turn skips into failures where everything that tests need must be there."""
    report = yield
    if os.environ.get(REQUIRE) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_HERE not in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped although {REQUIRE}=1 forbids it. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    """Do the same for modules that are skipped as a whole."""
    report = yield
    if os.environ.get(REQUIRE) == "1" and report.outcome == "skipped" and NOT_HERE not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped although {REQUIRE}=1 forbids it: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data, or skip where a machine has none."""
    folder = Path(os.environ.get("PENSTOCK_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set PENSTOCK_TEST_DATA to the folder that holds bike_sharing/")
    return folder
