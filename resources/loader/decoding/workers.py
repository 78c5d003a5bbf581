"""Owns the processes that run decoders in pure Python; they get bytes and give bytes, and end with their owner.

They are spawned, never forked: a fork of a process with threads may hang.
"""

import os
import signal
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import connection, current_process, get_context, parent_process
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import LoaderError
from resources.loader.decoding.decoder import Decoder, Outcome, decode_into

_Answer = tuple[bytes, dict[int, str], tuple[int, str] | None]


class Workers:
    """Processes that decode; threads may share them. They start with the first use.

    Args:
        decoders: By column.
        count: How many processes, at least one.
    """

    def __init__(self, decoders: Mapping[str, Decoder], count: int) -> None:
        self._decoders = dict(decoders)
        self._count = count
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._owner = 0

    def decode_into(self, column: str, values: Sequence[memoryview], out: NDArray[Any]) -> Outcome:  # Any: of its type
        """Decode values of a column to `out`, shape ``(len(values), *shape)``, a share of them in each process.

        Raises:
            LoaderError: If a process ended.
        """
        pool = self._running()
        bounds = np.linspace(0, len(values), min(self._count, len(values)) + 1).astype(int).tolist()
        try:
            asked = [
                pool.submit(_decoded, column, [bytes(value) for value in values[first:last]])
                for first, last in pairwise(bounds)
            ]
            answers = [one.result() for one in asked]
        except BrokenExecutor:
            self._drop(pool)
            raise LoaderError(
                f"a process that decodes column {column!r} was killed or ended by itself: it may have had too little "
                "memory, or a script lacks `if __name__ == '__main__':` around what it runs; the batches before were "
                "whole, go on from state()"
            ) from None
        return _joined(answers, bounds, out)

    def _running(self) -> ProcessPoolExecutor:
        if current_process().daemon:
            raise LoaderError(
                "a decoder in pure Python starts processes, which a daemonic process, such as a worker of a torch "
                "DataLoader, may not do: load with threads=0 here, or in the main process"
            )
        with self._lock:
            if self._pool is None or self._owner != os.getpid():  # a fork has none of its parent's processes
                self._owner = os.getpid()
                self._pool = ProcessPoolExecutor(
                    self._count, mp_context=get_context("spawn"), initializer=_begin, initargs=(self._decoders,)
                )
                weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
            return self._pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        pool.shutdown(wait=False, cancel_futures=True)


def _joined(answers: Sequence[_Answer], bounds: Sequence[int], out: NDArray[Any]) -> Outcome:  # Any: as above
    broken: dict[int, str] = {}
    for (data, reasons, fault), first, last in zip(answers, bounds, bounds[1:], strict=False):
        broken |= {first + place: reason for place, reason in reasons.items()}
        if fault is not None:
            return Outcome(broken=broken, fault=(first + fault[0], fault[1]))
        out[first:last] = np.frombuffer(data, out.dtype).reshape(last - first, *out.shape[1:])
    return Outcome(broken=broken)


_here: dict[str, Decoder] = {}


def _begin(decoders: Mapping[str, Decoder]) -> None:
    """Prepare a process: keep the decoders, and end with whoever started it, be it by SIGKILL, not by Ctrl-C before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _here.update(decoders)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _decoded(column: str, values: Sequence[bytes]) -> _Answer:
    decoder = _here[column]
    out = np.empty((len(values), *decoder.shape), decoder.element)
    outcome = decode_into(decoder, [memoryview(value) for value in values], out)
    return b"" if outcome.fault else out.tobytes(), outcome.broken, outcome.fault
