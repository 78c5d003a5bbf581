"""Owns when reading parts of a file gives way to fetching the whole: as soon as the parts have cost as much.

The rule of ski rental: who knows nothing of the future rents until the rents come to the price, then buys (Karlin,
Manasse, Rudolph, Sleator, Competitive snoopy caching, Algorithmica 3, 1988). What is paid here are requests, and the
bytes beyond those of one pass over the file: a pass does not tell whether there will be another.
"""

import os
from collections import OrderedDict
from threading import Lock

REQUEST_BYTES = 2**20
"""What a request costs: the bytes that would come meanwhile, 0.5 ms at 2 GB/s or 20 ms at 50 MB/s."""
MOST_AT_ONCE = 2
"""Most files that a process fetches whole at a time for the sake of parts."""
_MOST_FILES = 4096


class Rents:
    """What this process has paid for parts of the files that it read last.

    Args:
        most_files: How many files are remembered; of others it is forgotten.
    """

    def __init__(self, most_files: int = _MOST_FILES) -> None:
        self._most_files = most_files
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # what the parent fetches the child does not

    def paid(self, name: str, size_bytes: int, part_bytes: int) -> bool:
        """Take note of one request; return whether the whole is to be fetched now: say `came` when that has ended.

        All begins anew then, be it that the fetch failed. A file that is coming, or more of them than are fetched at a
        time, have to wait.

        Args:
            name: The file.
            size_bytes: Bytes of the whole.
            part_bytes: Bytes that were asked for.
        """
        with self._lock:
            requests, read_bytes = self._paid.pop(name, (0, 0))
            requests, read_bytes = requests + 1, read_bytes + part_bytes
            is_due = requests * REQUEST_BYTES + max(0, read_bytes - size_bytes) >= size_bytes
            if is_due and name not in self._coming and len(self._coming) < MOST_AT_ONCE:
                self._coming.add(name)
                return True
            self._paid[name] = requests, read_bytes
            if len(self._paid) > self._most_files:
                self._paid.popitem(last=False)
            return False

    def came(self, name: str) -> None:
        """Take note that a fetch has ended, well or not."""
        with self._lock:
            self._coming.discard(name)
            self._paid.pop(name, None)

    def _begin(self) -> None:
        self._paid: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._coming: set[str] = set()
        self._lock = Lock()


RENTS = Rents()
"""Those of this process: files are known by their digests, wherever they lie."""
