"""How well each order of the loader mixes, beside a true shuffle: numbers, not times.

`spread` is the standard deviation of the means of batches over that of batches drawn at random: 1 is a true shuffle,
more means that batches are less alike. `neighbours` is the share of samples that follow the sample that they followed
at rest. Rows sorted by their value are the worst that there is; rows as `penstock pack` writes them are shuffled.

    python benchmarks/mixing.py [--quick] [--json FILE]
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _report import Row, compared, parser, report

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SHARDS, SHARD_ROWS, QUICK_ROWS = 8, 655_360, 65_536
ROW_BYTES = 100.0
BATCHES = (256, 4096)
EPOCHS = 5
PEER = "numpy permutation"

Numbers = Any  # numpy arrays of numbers


def spread(values: Numbers, batch: int) -> float:
    """Return the spread of the means of batches, over that of random ones."""
    means = values[: len(values) // batch * batch].reshape(-1, batch).mean(axis=1)
    return float(means.std() / (values.std() / np.sqrt(batch)))


def neighbours(places: Numbers) -> float:
    """Return the share of samples that follow the one before them at rest."""
    return float((np.diff(places) == 1).mean())


def main(arguments: argparse.Namespace) -> None:
    """Measure every order over sorted and over shuffled rows."""
    from resources.loader.order import ORDERS, Epoch, Layout

    rows = QUICK_ROWS if arguments.quick else SHARD_ROWS
    total, random = SHARDS * rows, np.random.default_rng(1)
    layout = Layout(root="5a" * 32, rows=np.full(SHARDS, rows), row_bytes=ROW_BYTES)
    held = {"sorted": np.arange(total) / total, "packed": random.permutation(total) / total}
    true = [random.permutation(total) for _ in range(EPOCHS)]
    found: list[Row] = []
    for order in ORDERS:
        orders = []
        for epoch in range(EPOCHS):
            shards, within = Epoch(layout, order, seed=1, number=epoch).samples(0, total)
            orders.append(shards * rows + within)
        for name, values in held.items():
            for batch in BATCHES:
                mine = float(np.mean([spread(values[places], batch) for places in orders]))
                theirs = float(np.mean([spread(values[places], batch) for places in true]))
                work = f"spread of batches of {batch:,} rows that were {name}"
                found.append(compared(work, order, mine, "", peer=PEER, peer_value=theirs))
        share = float(np.mean([neighbours(places) for places in orders]))
        found.append(
            compared(
                "neighbours at rest that follow each other", order, share, "share",
                peer=PEER, peer_value=float(np.mean([neighbours(places) for places in true])),
            )
        )  # fmt: skip
    report(found, arguments.json)


if __name__ == "__main__":
    main(parser(__doc__ or "").parse_args())
