"""Owns the table of what a skew check finds of planted skew, and how often clean runs raise an alarm."""

from collections.abc import Iterator

import numpy as np
from _report import Row, measured
from _skew_plants import ARRIVED, KEYS, PLANTS, TIME, Planted, clean, world

from quality.skew import SkewReport, SkewRule, skew

RULE = SkewRule(keys=KEYS, time=TIME, arrived=ARRIVED)
SIZES, SHARES = (2_000, 20_000), (0.02, 0.1, 0.5)
STATED = 0.1
"""Share of rows from which on a kind has to be found; at 2 %, a few cells of 2,000 rows are all there is to see."""


def rows(seeds: int, sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Yield how often planted skew was not blocked with its column and kind named, and how often clean runs alarm."""
    for name in PLANTS:
        for share in SHARES:
            yield from _planted(name, share, sizes, seeds)
    for size in sizes:
        quiet = [_of(clean(world(size, seed), np.random.default_rng(seed)))[0] for seed in range(12 * seeds)]
        for verdict, most in (("block", 0.001), ("warn", 0.01)):
            alarms = sum(report.verdict == verdict for report in quiet)
            work = f"clean runs of {size:,} rows that {verdict} ({len(quiet)} runs)"
            yield measured(work, "skew", alarms / len(quiet), "share of runs", most=most)


def _planted(name: str, share: float, sizes: tuple[int, ...], seeds: int) -> Iterator[Row]:
    missed = unnamed = strayed = 0
    for size in sizes:
        for seed in range(seeds):
            report, column, kind = _of(PLANTS[name](world(size, seed), share, np.random.default_rng([seed, 3])))
            told = [finding.reason for finding in report.findings if finding.verdict == "block"]
            missed += not told
            unnamed += bool(told) and not any(kind in reason and column in reason for reason in told)
            wrong = {found.column for found in report.columns if found.mismatch.count}
            strayed += bool(wrong - {column}) and column != TIME
    runs, unit, most = seeds * len(sizes), "share of runs", 0.05 if share >= STATED else None
    yield measured(f"{name} in {share:.0%} of rows: not blocked", "skew", missed / runs, unit, most=most)
    if unnamed or strayed:
        work = f"{name} in {share:.0%} of rows: blocked, another column or kind named"
        yield measured(work, "skew", (unnamed + strayed) / runs, unit, most=most)


def _of(planted: Planted) -> tuple[SkewReport, str, str]:
    return skew(planted.training, planted.serving, RULE), planted.column, planted.kind
