"""Quality checks against their peers: Great Expectations suites, from Parquet to results.

Every subject runs in a process of its own on a file that the page cache holds; imports are not counted. Peers that do
not fit the lock have an environment of their own, made on first use.

    python benchmarks/quality.py [--quick] [--json FILE] [--rows N] [--no-peers]
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import _quality_suites  # noqa: E402
from _report import parser, report  # noqa: E402

PARTS = (_quality_suites.rows,)
QUICK_ROWS = 300_000
ROWS = 5_000_000


def main() -> None:
    """Measure all parts and print one table."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rows", type=int, default=ROWS, help="rows of the full run")
    arguments.add_argument("--no-peers", action="store_true", help="only Penstock and the bare decode")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-quality-") as scratch:
        size = QUICK_ROWS if given.quick else given.rows
        found = [
            row for part in PARTS for row in part(Path(scratch), size, peers=not given.no_peers, quick=given.quick)
        ]
    report(found, given.json)


if __name__ == "__main__":
    main()
