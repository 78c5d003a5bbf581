"""The crash matrix: whatever goes wrong while the storage works, nothing committed is lost and nothing wrong is read.

Each cell is an operation and a fault that strikes at points drawn from seeds: six points here, as many as
PENSTOCK_TEST_SOAK says by `make soak` (two hundred), which also writes docs/crash-matrix.md. That may be run in parts:
`make soak ARGS='-k "reset or short"'`.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from threading import Barrier

import pytest

from resources.canonical import canonical_json, parse_json
from resources.settings import PROJECT_ROOT
from tests.integration.faults.matrix import Row, in_order, new_world, page, rows_of, run_cell, table
from tests.integration.faults.operations import OPERATIONS
from tests.integration.faults.plans import FAULTS, places
from tests.integration.faults.proxy import FaultProxy, NetworkFault
from tests.integration.faults.steps import Actor, Attempt, Outcome, attempt, examine, prepare
from tests.integration.faults.track import STUCK_S

SOAK = "PENSTOCK_TEST_SOAK" in os.environ
POINTS = int(os.environ.get("PENSTOCK_TEST_SOAK", "6"))

PAGE = PROJECT_ROOT / "docs" / "crash-matrix.md"
_SWAP = 2  # of the requests that move a ref: read the new value, read the ref, swap it

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if SOAK else 120)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Collect the rows of the matrix, of all workers; a soak keeps them in the documentation."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "matrix"
    folder.mkdir(exist_ok=True)
    yield folder
    found = in_order(Row(**parse_json(file.read_bytes())) for file in folder.iterdir())
    print("\n" + table(found))
    if SOAK:
        PAGE.write_text(page(in_order(rows_of(PAGE.read_text(encoding="utf-8")), found)), encoding="utf-8")


@pytest.mark.parametrize("loses_answer", [False, True])
def test_of_two_writers_that_move_one_ref_exactly_one_wins(seaweed, tmp_path, loses_answer):
    world = new_world("s3", tmp_path / "world", seaweed)
    together = Barrier(2)
    meet = NetworkFault(kind="call", moment="before", request=_SWAP, action=lambda: together.wait(10))
    lose = NetworkFault(kind="reset", moment="answer", request=_SWAP) if loses_answer else None

    def move(actor: Actor, version: int) -> Outcome:
        with FaultProxy(seaweed.endpoint, lose) as behind, FaultProxy(behind.endpoint, meet) as proxy:
            wanted = Attempt(world=world, operation="move ref", version=version, endpoint=proxy.endpoint)
            return actor.do(attempt, wanted, within_s=STUCK_S)

    with closing(Actor()) as one, closing(Actor()) as other, ThreadPoolExecutor(2) as pool:
        one.do(prepare, world, "move ref", 2, within_s=30)
        other.do(examine, world, "move ref", 0, again=False, thorough=False, within_s=30)  # so that both are warm
        outcomes = list(pool.map(move, (one, other), (1, 2)))
        (winner,) = (version for version, outcome in zip((1, 2), outcomes, strict=True) if not outcome.error)
        found = one.do(examine, world, "move ref", winner, again=False, thorough=False, within_s=30)

    assert outcomes[2 - winner].error.startswith("ConflictError: another run replaced the value of asset bike/raw")
    assert found.wrong == ()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_makes_a_read_wrong_or_loses_what_was_committed(operation, fault, seaweed, tmp_path, rows):
    row = run_cell(operation, fault, points=POINTS, server=seaweed, folder=tmp_path, fresh=SOAK)
    (rows / f"{operation} {fault}.json".replace("/", " ")).write_bytes(canonical_json(asdict(row)))

    assert row.notes == []
    assert row.points >= POINTS or not places(fault, operation, OPERATIONS[operation].places)
