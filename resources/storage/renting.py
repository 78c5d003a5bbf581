"""Owns when reading parts of a file gives way to fetching the whole: as soon as the parts have cost as much.

The rule of ski rental: who knows nothing of the future rents until the rents come to the price, then buys (Karlin,
Manasse, Rudolph, Sleator, Competitive snoopy caching, Algorithmica 3, 1988). What is paid here are
requests, and the bytes beyond those of one pass over the file: a pass does not tell whether there will be another.
"""

from collections import OrderedDict
from threading import Lock

REQUEST_BYTES = 2**20
"""What a request costs: the bytes that would come meanwhile, 0.5 ms at 2 GB/s or 20 ms at 50 MB/s."""
_MOST_FILES = 4096


class Rents:
    """What this process has paid for parts of the files that it read last.

    Args:
        most_files: How many files are remembered; of others it is forgotten.
    """

    def __init__(self, most_files: int = _MOST_FILES) -> None:
        self._most_files = most_files
        self._paid: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = Lock()

    def paid(self, name: str, size_bytes: int, part_bytes: int) -> bool:
        """Take note of one request; return whether the whole is to be fetched now, upon which all begins anew.

        Args:
            name: The file.
            size_bytes: Bytes of the whole.
            part_bytes: Bytes that were asked for.
        """
        with self._lock:
            requests, read_bytes = self._paid.pop(name, (0, 0))
            requests, read_bytes = requests + 1, read_bytes + part_bytes
            if requests * REQUEST_BYTES + max(0, read_bytes - size_bytes) >= size_bytes:
                return True
            self._paid[name] = requests, read_bytes
            if len(self._paid) > self._most_files:
                self._paid.popitem(last=False)
            return False


RENTS = Rents()
"""Those of this process: files are known by their digests, wherever they lie."""
