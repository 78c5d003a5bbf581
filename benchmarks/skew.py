"""Measure skew checks and point-in-time joins: skew.py [--quick] [--json FILE]

Claims: comparing a million joined rows of 20 features cell by cell takes less than twice the bare Polars join, a
point-in-time join about as long as join_asof; twelve planted kinds of skew are found and named, clean runs raise no
alarm. Times are the least of some repeats, each work in a process of its own.
"""

import tempfile
from pathlib import Path

import _quality_skew
import _skew_found
from _report import parser, report


def main() -> None:
    """Run the benchmark."""
    arguments = parser(__doc__ or "").parse_args()
    size, repeats, seeds = (50_000, 2, 2) if arguments.quick else (1_000_000, 5, 20)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_quality_skew.rows(Path(folder), size, repeats))
    rows += _skew_found.rows(seeds, _skew_found.SIZES[:1] if arguments.quick else _skew_found.SIZES)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
