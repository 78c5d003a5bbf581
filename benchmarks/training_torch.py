"""What training a network by way of the loader costs in memory and time, beside TensorDataset and DataLoader.

Both train the same perceptron on the same stored features with the same optimizer, batch size and one thread, each in a
process of its own. The plain way reads a frame, makes a tensor of it, and lets `torch.utils.data.DataLoader` collate
shuffled batches: one row at a time, as it does by default, and a whole batch at a time, by a `BatchSampler`. The stage
makes the files of a bundle: it also profiles every column, goes through the fitted transform and measures importance.
`private memory` is what a process had at most of its own (anonymous pages) above what it had after its imports. An
epoch takes as long as a run of one epoch more is longer.

    .venv-torch/bin/python benchmarks/training_torch.py [--quick] [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from _report import Row, compared, parser, report
from training import COLUMNS, QUICK_ROWS, ROWS, cost, make, opened, stored_keys

EPOCHS = (1, 2)
"""Of the two runs by which an epoch is timed."""
BATCH_ROWS = 1024
HIDDEN = (64, 32)
RATE = 0.001
PEERS = {"rows": "TensorDataset, DataLoader", "batches": "TensorDataset, DataLoader of whole batches"}


def plain(folder: Path, digests: dict[str, str], epochs: int, *, whole: bool) -> Callable[[], object]:
    """Return the plain way, its imports done."""
    import polars as pl
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    from resources.storage.datasets import read_frame

    def loader(data: Any) -> Any:
        if not whole:
            return DataLoader(data, batch_size=BATCH_ROWS, shuffle=True)
        sampler = BatchSampler(RandomSampler(data), BATCH_ROWS, drop_last=False)
        return DataLoader(data, sampler=sampler, batch_size=None)

    def work() -> object:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        frame = pl.concat([read_frame(opened(folder), digests[key]) for key in stored_keys()])
        features = torch.from_numpy(frame.drop("label").cast(pl.Float32).to_numpy(order="c"))
        label = torch.tensor(frame["label"].to_numpy(), dtype=torch.float32)
        del frame
        data = TensorDataset(features, (label - label.mean()) / label.std())
        widths = (COLUMNS, *HIDDEN)
        layers = [
            layer for before, after in pairwise(widths) for layer in (torch.nn.Linear(before, after), torch.nn.ReLU())
        ]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN[-1], 1))
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        for _ in range(epochs):
            for rows, wanted in loader(data):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(network(rows).squeeze(1), wanted).backward()
                optimizer.step()
        return network

    return work


def stage(folder: Path, digests: dict[str, str], epochs: int) -> Callable[[], object]:
    """Return the whole stage, its imports done."""
    import torch

    from resources.loader import packing  # noqa: F401 (imported by the first batch otherwise)
    from resources.training.recipe import TrainingRecipe
    from resources.training.train import Inputs, make_files

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # it imports what the plain way imports, too
    recipe = TrainingRecipe(
        pipeline="benchmark",
        columns=tuple((f"x{number:02}", f"x{number:02}") for number in range(COLUMNS)),
        label="label",
        trainer="torch",
        parameters={"hidden": list(HIDDEN), "batch_size": BATCH_ROWS, "epochs": epochs, "learning_rate": RATE},
        contract={},
    )
    return lambda: make_files(opened(folder), recipe, Inputs(features=digests, raw={}))


def measure(way: str, epochs: int, folder: Path) -> None:
    """Do one way in this process and print what it cost, as JSON."""
    digests = json.loads((folder / "digests.json").read_text())
    if way == "stage":
        print(json.dumps(cost(stage(folder, digests, epochs))))
    else:
        print(json.dumps(cost(plain(folder, digests, epochs, whole=way == "batches"))))


def measured(way: str, folder: Path) -> dict[str, float]:
    """Return what one way cost in processes of its own: most memory, seconds of all of it and of an epoch."""
    found: list[dict[str, float]] = []
    for epochs in EPOCHS:
        command = [sys.executable, __file__, "--way", way, "--epochs", str(epochs), "--folder", str(folder)]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    epoch_s = (found[1]["took_s"] - found[0]["took_s"]) / (EPOCHS[1] - EPOCHS[0])
    return {**found[1], "epoch_s": epoch_s}


def rows(counts: list[int]) -> list[Row]:
    """Return every measurement."""
    return [row for count in counts for row in _rows_of(count)]


def _rows_of(count: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, count)
        found = {way: measured(way, folder) for way in ("rows", "batches", "stage")}
    ours, size = found["stage"], f"{count:,} rows of {COLUMNS}"
    made: list[Row] = []
    for way, peer in PEERS.items():
        theirs = found[way]
        made += [
            compared(
                f"private memory, {size}", "the whole stage", ours["private_bytes"] / 1e6, "MB",
                peer=peer, peer_value=theirs["private_bytes"] / 1e6,
            ),
            compared(
                f"an epoch, {size}", "the whole stage", ours["epoch_s"], "s", peer=peer, peer_value=theirs["epoch_s"]
            ),
            compared(
                f"{EPOCHS[1]} epochs, {size}", "the whole stage", ours["took_s"], "s",
                peer=peer, peer_value=theirs["took_s"],
            ),
        ]  # fmt: skip
    return made


def main(arguments: argparse.Namespace) -> None:
    """Measure and print every row, or do one way where asked to."""
    if arguments.way:
        measure(arguments.way, arguments.epochs, arguments.folder)
        return
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed here: make test-torch makes .venv-torch, whose Python has it")
        return
    del torch
    report(rows([QUICK_ROWS] if arguments.quick else [QUICK_ROWS, ROWS]), arguments.json)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--way", choices=("rows", "batches", "stage"), help=argparse.SUPPRESS)
    options.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    main(options.parse_args())
