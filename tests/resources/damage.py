"""Damages Parquet and Arrow files in thousands of ways and reads each; a script, as a crash would end its process.

Called with a scratch folder. Errors of Penstock are what is wanted; any other ends the script.
"""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from quality.contract import Column, Contract
from resources.errors import PenstockError
from resources.source import Source
from resources.source.reading import open_reading

ROUNDS = 400
CONTRACT = Contract(
    columns={"n": Column(type="int64"), "s": Column(type="string"), "t": Column(type="timestamp[us, tz=UTC]")}
)


def write(path: Path) -> None:
    """Write a file of the format that the name tells."""
    n = pa.array(range(300), pa.int64())
    s = pa.array([f"v{number % 7}" for number in range(300)])
    table = pa.table({"n": n, "s": s, "t": n.cast(pa.timestamp("us", tz="UTC"))})
    if path.suffix == ".parquet":
        pq.write_table(table, path, compression="zstd", row_group_size=100)
    else:
        opener = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with opener(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)


def main(folder: Path) -> None:
    """Read damaged copies of one file of each format."""
    rng = random.Random(1)
    for suffix in (".parquet", ".arrow", ".arrows"):
        write(folder / f"whole{suffix}")
        data = (folder / f"whole{suffix}").read_bytes()
        for _ in range(ROUNDS):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 2, 8))):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path = folder / f"damaged{suffix}"
            path.write_bytes(damaged[: rng.choice((len(damaged), rng.randrange(1, len(damaged))))])
            try:
                with open_reading(Source(url=str(path)), str(path), CONTRACT, scratch=folder) as reading:
                    for block in reading.blocks:
                        block.parse()
            except PenstockError:
                continue


main(Path(sys.argv[1]))
