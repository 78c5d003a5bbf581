"""Quality checks against their peers, on files that the page cache holds; imports are not counted.

Parts: `suites`, Great Expectations suites from Parquet to results, beside the library, pandera and the bare decode;
`drift`, profiles and drift reports with every statistic and its interval, beside evidently, whylogs, nannyml and TFDV;
`scan`, one reading for contract, split, suite and profile, beside the suite alone;
`skew`, training against serving cell by cell and joins as of a time, beside the bare joins, and planted kinds of skew.
Every subject runs in a process of its own. Peers that do not install beside the core have environments of their own,
made on first use in a folder that may be kept.

    python benchmarks/quality.py [--quick] [--json FILE] [--part PART] [--rows N] [--no-peers] [--peers FOLDER]
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import _quality_drift
import _quality_scan
import _quality_skew
import _quality_suites
import _skew_found
from _peer_environments import FOLDER
from _report import Row, parser, report

QUICK_ROWS, ROWS = 300_000, 5_000_000


def main() -> None:
    """Measure the parts and print one table."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--part", choices=PARTS, action="append", help="measure this part only")
    arguments.add_argument("--rows", type=int, default=ROWS, help="rows of a full run of the suites")
    arguments.add_argument("--no-peers", action="store_true", help="leave out peers with environments of their own")
    arguments.add_argument("--peers", type=Path, default=FOLDER, help=f"folder of their environments ({FOLDER})")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-quality-") as scratch:
        rows = [row for part in given.part or PARTS for row in PARTS[part](Path(scratch), given)]
    report(rows, given.json)


def _suites(scratch: Path, given: argparse.Namespace) -> list[Row]:
    size, peers = QUICK_ROWS if given.quick else given.rows, None if given.no_peers else given.peers
    return _quality_suites.rows(scratch, size, peers=peers, quick=given.quick)


def _scan(scratch: Path, given: argparse.Namespace) -> list[Row]:
    return _quality_scan.rows(scratch, QUICK_ROWS if given.quick else given.rows, quick=given.quick)


def _drift(_: Path, given: argparse.Namespace) -> Iterator[Row]:
    return _quality_drift.drift_rows(quick=given.quick, peers=None if given.no_peers else given.peers)


def _skew(scratch: Path, given: argparse.Namespace) -> Iterator[Row]:
    size, repeats, seeds = (50_000, 2, 2) if given.quick else (1_000_000, 5, 20)
    yield from _quality_skew.rows(scratch, size, repeats)
    yield from _skew_found.rows(seeds, _skew_found.SIZES[:1] if given.quick else _skew_found.SIZES)


PARTS = {"suites": _suites, "scan": _scan, "drift": _drift, "skew": _skew}

if __name__ == "__main__":
    main()
