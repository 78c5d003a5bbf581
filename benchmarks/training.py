"""What training by way of the loader costs in memory and time, beside the plain way: a frame, a matrix, a Dataset.

Both train the same LightGBM model on the same stored features, each in a process of its own. `private memory` is what
the process had at most of its own (anonymous pages) above what it had after its imports; mapped files are not counted,
for the kernel may take them back. The plain way only reads, converts and learns. `the whole stage` makes the
files of a bundle, for which it also profiles every column and goes through the fitted transform.

    python benchmarks/training.py [--quick] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import Row, compared, parser, report
from _usage import status_bytes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

COLUMNS = 30
ROWS, QUICK_ROWS = 3_000_000, 200_000
PARTS = 3
ROUNDS = 10
PEER = "read_frame, numpy, Dataset"
PARAMETERS = {"num_iterations": ROUNDS, "num_leaves": 31, "num_threads": 1, "objective": "regression"}
_EVERY_S = 0.002
_KEYS = [f"2026-{part + 1:02}" for part in range(PARTS)]


def make(folder: Path, rows: int) -> None:
    """Store the features of some partitions, and note their digests."""
    import numpy as np
    import polars as pl

    from resources.loader.shuffled import write_shuffled

    digests: dict[str, str] = {}
    for part, key in enumerate(_KEYS):
        draw = np.random.default_rng(part)
        columns = {f"x{number:02}": draw.normal(size=rows // PARTS) for number in range(COLUMNS)}
        label = 2 * columns["x00"] - columns["x01"] ** 2 + draw.normal(size=rows // PARTS)
        frame = pl.DataFrame({**columns, "label": label})
        ref = write_shuffled(opened(folder), frame, scratch=folder / "scratch", keep=["label"])
        digests[key] = ref.digest
    (folder / "digests.json").write_text(json.dumps(digests))


def opened(folder: Path) -> Any:  # Any: the store, imported late
    """Return the store in `folder`."""
    from resources.storage.store import open_store

    return open_store(str(folder / "store"), cache=folder / "cache")


def plain(folder: Path, digests: dict[str, str]) -> Callable[[], object]:
    """Return the plain way, its imports done."""
    import lightgbm
    import polars as pl

    from resources.storage.datasets import read_frame

    def work() -> object:
        frame = pl.concat([read_frame(opened(folder), digests[key]) for key in _KEYS])
        matrix, label = frame.drop("label").to_numpy(order="c"), frame["label"].to_numpy()
        settings = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0, **PARAMETERS}
        return lightgbm.train(settings, lightgbm.Dataset(matrix, label=label, params=settings), num_boost_round=ROUNDS)

    return work


def stage(folder: Path, digests: dict[str, str]) -> Callable[[], object]:
    """Return the whole stage, its imports done."""
    import lightgbm

    from resources.loader import packing  # noqa: F401 (imported by the first batch otherwise)
    from resources.training.recipe import TrainingRecipe
    from resources.training.train import Inputs, make_files

    del lightgbm
    recipe = TrainingRecipe(
        pipeline="benchmark",
        columns=tuple((f"x{number:02}", f"x{number:02}") for number in range(COLUMNS)),
        label="label",
        parameters={**PARAMETERS},
        contract={},
    )
    return lambda: make_files(opened(folder), recipe, Inputs(features=digests, raw={}))


def stored_keys() -> list[str]:
    """Return the keys of the partitions that `make` stores."""
    return _KEYS


def measure(way: str, folder: Path) -> None:
    """Do one way in this process and print what it cost, as JSON."""
    work = {"plain": plain, "stage": stage}[way](folder, json.loads((folder / "digests.json").read_text()))
    print(json.dumps(cost(work)))


def cost(work: Callable[[], object]) -> dict[str, float]:
    """Do `work`, and return the most memory that it had of its own meanwhile, and its seconds."""
    before = peak = status_bytes("RssAnon")
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_EVERY_S):
            peak = max(peak, status_bytes("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    work()
    took_s = time.perf_counter() - began
    done.set()
    watcher.join()
    return {"private_bytes": peak - before, "took_s": took_s}


def measured(way: str, folder: Path) -> dict[str, float]:
    """Return what one way cost in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows(count: int) -> list[Row]:
    """Return every measurement."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, count)
        theirs, ours = measured("plain", folder), measured("stage", folder)
    size = f"{count:,} rows of {COLUMNS} float64"
    matrix_mb = count * COLUMNS * 8 / 1e6
    return [
        compared(
            f"private memory, {size} ({matrix_mb:,.0f} MB)", "the whole stage", ours["private_bytes"] / 1e6, "MB",
            peer=PEER, peer_value=theirs["private_bytes"] / 1e6, most_ratio=0.5,
        ),
        compared(
            f"private memory, {size}", "the whole stage", ours["private_bytes"] / 1e6, "MB",
            peer="one matrix of float64", peer_value=matrix_mb, most_ratio=1.0,
        ),
        compared(f"time, {size}", "the whole stage", ours["took_s"], "s", peer=PEER, peer_value=theirs["took_s"]),
    ]  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Measure and print every row, or do one way where asked to."""
    if arguments.way:
        measure(arguments.way, arguments.folder)
        return
    report(rows(QUICK_ROWS if arguments.quick else ROWS), arguments.json)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--way", choices=("plain", "stage"), help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    main(options.parse_args())
