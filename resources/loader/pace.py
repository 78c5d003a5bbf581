"""Owns the choice between copying at once and copying ahead in threads: it keeps what it measured to be quicker.

A thread hides the copying behind a consumer that computes, and the waiting for a disk. But each call of numpy hands the
interpreter over, so that for a consumer that is as fast as memory, the thread costs more than it hides.
"""

from statistics import median

TRIAL_SLABS = 8
"""Slabs by which one way is measured."""
KEPT_SLABS = 256
"""Slabs for which the better way is kept before the other one is tried again."""
_GAIN = 0.95  # ahead is kept unless the other takes less than this share of its time


class Pace:
    """How many threads copy ahead.

    Args:
        threads: So many always; None means that they are `most` or none, as measured.
        most: The most of them.
    """

    def __init__(self, threads: int | None, most: int) -> None:
        self.most = most if threads is None else threads
        self.threads = self.most
        """For the next slab."""
        self._is_fixed = threads is not None or not most
        self._took: dict[int, list[float]] = {}
        self._kept = 0

    def note(self, rows: int, took_s: float) -> None:
        """Say how long a slab of so many rows took, from the one before it, all that its consumer did included."""
        if self._is_fixed:
            return
        if self._kept:
            self._kept -= 1
            return
        took = self._took.setdefault(self.threads, [])
        took.append(took_s / max(rows, 1))
        if len(took) == TRIAL_SLABS:
            self._judge()

    def _judge(self) -> None:
        """Try the other way, or keep the better one if both were tried."""
        if len(self._took) == 1:
            self.threads = 0 if self.threads else self.most
            return
        ahead, at_once = median(self._took[self.most]), median(self._took[0])
        self.threads = 0 if at_once < _GAIN * ahead else self.most
        self._took.clear()
        self._kept = KEPT_SLABS
