"""Measure how often verdicts err where the truth is known: verdicts.py [--quick] [--json FILE]

Claims of the drift check: at most 1 of 100 clean batches of 20 columns has a flag, at 1k to 1M rows, with seasons and
autocorrelation too; from 10k rows on at most 5 % of shifts of 0.1 sd and of moves of 5 points of a category are missed;
95 % intervals miss the true value in at most 6.5 % of pairs (5 %, and three times what 2,000 pairs scatter by).
"""

from _report import parser, report
from _verdicts_drift import verdict_rows


def main() -> None:
    """Measure and print every row."""
    options = parser(__doc__).parse_args()
    report(list(verdict_rows(quick=options.quick)), options.json)


if __name__ == "__main__":
    main()
