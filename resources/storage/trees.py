"""Owns the block digests that this process holds in memory: a bounded number, each fetched once however many ask.

They are found by the digest of the file alone, so all stores share them.
"""

from collections import OrderedDict
from threading import Lock

from resources.storage.content import BLOCK_BYTES, DIGEST_BYTES, Bytes, StoredFile, Tree, block_digests
from resources.storage.files import tree_of
from resources.storage.store import Store

MOST_BYTES = 64 * 2**20
"""Most bytes of digests in memory: those of 128 GiB of files."""
_FETCHES = 16


class Trees:
    """Block digests of the files that were read last, at most `most_bytes` of them, though always one file's."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, Tree] = OrderedDict()
        self._lock = Lock()
        self._fetching = [Lock() for _ in range(_FETCHES)]
        self.held_bytes = 0

    def of(self, store: Store, file: StoredFile) -> Tree:
        """Return the block digests of a file of more than one chunk.

        Raises:
            ObjectMissing: If the store has none.
            IntegrityError: If they are not those of this file.
        """
        if (found := self._known(file.digest)) is not None:
            return found
        with self._fetching[int(file.digest[:8], 16) % _FETCHES]:
            if (found := self._known(file.digest)) is None:
                found = tree_of(store, file)
                self._keep(file.digest, found)
            return found

    def _known(self, digest: str) -> Tree | None:
        with self._lock:
            if (found := self._held.get(digest)) is not None:
                self._held.move_to_end(digest)
            return found

    def _keep(self, digest: str, found: Tree) -> None:
        with self._lock:
            self._held[digest] = found
            self.held_bytes += len(found.blocks)
            while self.held_bytes > self._most_bytes and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self.held_bytes -= len(gone.blocks)


TREES = Trees()
"""Those of this process."""


def is_right(tree: Tree, start: int, data: Bytes) -> bool:
    """Return whether `data` are the file's bytes from `start`, which begins a block, to the end of a block."""
    found = block_digests(data)
    first = start // BLOCK_BYTES * DIGEST_BYTES
    return tree.blocks[first : first + len(found)] == found
