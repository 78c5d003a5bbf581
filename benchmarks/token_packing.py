"""How much of packed rows is tokens, beside one document a row, and beside cutting all documents end to end.

Lengths of documents are drawn from a log-normal distribution, as those of texts are about. `a document a row` puts each
piece of at most a row in a row of its own. `end to end` cuts one stream of all documents into rows: no padding, but
documents that would fit a row are cut in two. Whatever a loader does, a row is of at most 2,048 or 8,192 tokens.

    python benchmarks/token_packing.py [--quick] [--json FILE]
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _report import Row, compared, measured, parser, report
from _usage import timed

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS, PADDED, STREAM = "penstock", "a document a row", "end to end"
DOCUMENTS = {100: 1_000_000, 400: 1_000_000, 1_500: 250_000}
"""By the median of their tokens."""
QUICK, SHARDS = 20, 8
LENGTHS = (2_048, 8_192)
LONGEST = 50_000
LEAST_SHARE = 0.99
MOST_PLAN_S = 10

Numbers = Any  # numpy arrays of numbers


def write(folder: Path, lengths: Numbers) -> Path:
    """Write documents of these lengths, of one byte a token."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(lengths, SHARDS)):
        offsets = np.concatenate([[0], np.cumsum(part)])
        tokens = pa.Array.from_buffers(pa.uint8(), int(offsets[-1]), [None, pa.py_buffer(bytes(int(offsets[-1])))])
        stored = [None, pa.py_buffer(offsets)]
        lists = pa.Array.from_buffers(pa.large_list(pa.uint8()), len(part), stored, children=[tokens])
        batch = pa.record_batch([lists], names=["tokens"])
        with pa.ipc.new_file(folder / f"{number}.arrow", batch.schema) as writer:
            writer.write_batch(batch)
    return folder


def cut_in_two(lengths: Numbers, length: int) -> float:
    """Return the share of the documents that fit a row and lie in two when all lie end to end."""
    ends = np.cumsum(lengths)
    fitting = lengths <= length
    is_cut = (ends - lengths) // length != (ends - 1) // length
    return float((is_cut & fitting).sum() / fitting.sum())


def measure(folder: Path, lengths: Numbers, length: int, median: int) -> list[Row]:
    """Pack the documents of `folder` and compare."""
    from resources.loader import Loader
    from resources.loader.tokens.packing import TokenPacking

    def plan() -> None:
        loaders.append(Loader(folder, 64, pack_tokens=TokenPacking(column="tokens", length=length)))
        rows.append(loaders[0].rows)

    loaders: list[Loader] = []
    rows: list[int] = []
    plan_s = timed(plan)["wall_s"]
    padding = segments = 0
    for batch in loaders[0].numpy():
        padding += int(batch["padding"].sum())
        segments += int(batch["segments"].max(axis=1).sum())
    tokens = int(lengths.sum())
    if tokens != rows[0] * length - padding:
        raise SystemExit(f"{tokens:,} tokens became {rows[0] * length - padding:,}")
    pieces = int((-(-lengths // length)).sum())
    share, theirs = tokens / (rows[0] * length), tokens / (pieces * length)
    cut = (segments - pieces) / int((lengths <= length).sum())
    what = f"{len(lengths):,} documents of {median:,} tokens (median), rows of {length:,}"
    return [
        Row(
            work=f"tokens that are no padding: {what}", subject=OURS, value=share, unit="share", peer=PADDED,
            peer_value=theirs, ratio=share / theirs, target=f">= {LEAST_SHARE}", met=share >= LEAST_SHARE,
        ),
        compared(
            f"documents cut that fit a row: {what}", OURS, cut, "share", peer=STREAM,
            peer_value=cut_in_two(lengths, length), most=0,
        ),
        measured(f"lengths read and an epoch planned: {what}", OURS, plan_s, "s", most=MOST_PLAN_S),
    ]  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Measure every distribution of lengths with every length of a row."""
    rows: list[Row] = []
    for median, documents in DOCUMENTS.items():
        random, count = np.random.default_rng(median), documents // (QUICK if arguments.quick else 1)
        lengths = np.clip(random.lognormal(np.log(median), 1.0, count), 1, LONGEST).astype(np.int64)
        with tempfile.TemporaryDirectory() as scratch:
            folder = write(Path(scratch) / "documents", lengths)
            for length in LENGTHS:
                rows += measure(folder, lengths, length, median)
    report(rows, arguments.json)


if __name__ == "__main__":
    main(parser(__doc__ or "").parse_args())
