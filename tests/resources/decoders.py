"""Decoders for tests, in a module that processes can import: a value is a number in decimal digits."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from resources.loader.decoding.decoder import Decoder

SHAPE = (2, 3)
BROKEN, KILL, FAULT = b"broken", b"kill", b"fault"


def number(data):
    """Return an array that holds the number `data`, or fail as it says."""
    if data == BROKEN:
        raise ValueError("no number")
    if data == FAULT:
        raise KeyError("a mistake")
    if data == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.full(SHAPE, int(bytes(data)), np.int32)


def flat(data):
    """Return an array of another shape than declared."""
    return np.zeros(6, np.int32)


def decoder(function=number, **arguments) -> Decoder:
    return Decoder(function=function, shape=SHAPE, dtype="int32", **arguments)


def write_numbers(path: Path, values: Mapping[int, bytes | None] | None = None, *, rows: int) -> Path:
    """Write so many rows: their numbers, and the same in digits; `values` replaces some of the latter."""
    data = [(values or {}).get(row, str(row).encode()) for row in range(rows)]
    batch = pa.record_batch({"id": pa.array(range(rows), pa.int64()), "data": pa.array(data, pa.binary())})
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    return path
