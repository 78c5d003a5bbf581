"""Memory of a process that loads: it does not grow with the number of batches, whatever the order and the columns.

What is private to the process counts, as mapped files do not. It is read after a tenth of the batches, when every ring,
cache and arena has its size, and at the end.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT
from tests.resources.loading import write_arrow, write_parquet

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="not here: only Linux tells private memory"
)
GROWTH_BYTES = 8 * 2**20
"""What the allocators may keep in other places than at first; one slab more is 3 MiB."""
FEW, MILLION = 10_000, 1_000_000
TIMEOUT_S = 1_800
READER = """
import sys
from pathlib import Path
from resources.loader import Loader

folder, order, columns, batches = sys.argv[1], sys.argv[2], sys.argv[3].split(",") or None, int(sys.argv[4])

def private_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))

loader = Loader(folder, 4, order=order, columns=columns)
done, before = 0, 0
while done < batches:
    for batch in loader:
        done += 1
        if done == batches // 10:
            before = private_bytes()
        if done == batches:
            break
print(private_bytes() - before, loader.stats().slabs_replaced)
"""


def growth(folder: Path, order: str, columns: str, batches: int) -> int:
    """Return by how many bytes the private memory of a process grew over the last nine tenths of its batches."""
    command = [sys.executable, "-c", READER, str(folder), order, columns, str(batches)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    grown, replaced = map(int, done.stdout.split())
    assert replaced <= 3  # the batch that the loop holds when an epoch ends
    return grown


@pytest.mark.parametrize(("order", "columns"), [("window", "id,third,holed,text"), ("run", "id"), ("exact", "list")])
def test_memory_does_not_grow(tmp_path, order, columns):
    folder = write_arrow(tmp_path / "data", (3_000, 1_000, 4_096))
    assert growth(folder, order, columns, FEW) < GROWTH_BYTES


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("order", "columns"), [("window", "id,third,holed,text"), ("exact", "id,list")])
def test_memory_does_not_grow_over_a_million_batches(tmp_path, order, columns):
    folder = write_arrow(tmp_path / "data", (8_000, 4_000, 16_384))
    assert growth(folder, order, columns, MILLION) < GROWTH_BYTES


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S)
def test_memory_does_not_grow_over_a_million_batches_that_are_decoded(tmp_path):
    folder = write_parquet(tmp_path / "data", (30_000,), group_rows=4_000)
    assert growth(folder, "run", "id,third,text", MILLION) < GROWTH_BYTES
