"""The crash matrix: whatever goes wrong while the storage works, nothing committed is lost and nothing wrong is read.

Each cell is an operation and a fault that strikes at points drawn from seeds: six points here, two hundred by
`make soak`, which also writes docs/crash-matrix.md.
"""

import os
from collections.abc import Iterator

import pytest

from tests.integration.faults.matrix import Row, run_cell, table
from tests.integration.faults.operations import OPERATIONS
from tests.integration.faults.plans import FAULTS
from tests.integration.seaweed import seaweed

__all__ = ["seaweed"]

SOAK = os.environ.get("PENSTOCK_TEST_SOAK") == "1"
POINTS = 200 if SOAK else 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if SOAK else 120)]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    found: list[Row] = []
    yield found
    print("\n" + table(found))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_makes_a_read_wrong_or_loses_what_was_committed(operation, fault, seaweed, tmp_path, rows):
    row = run_cell(operation, fault, points=POINTS, server=seaweed, folder=tmp_path, fresh=SOAK)
    rows.append(row)

    assert row.notes == []
    assert row.points >= POINTS
