"""Owns which earlier partitions tell what is usual: those that checks flagged do not, unless they came to stay.

It reads nothing and judges no partition; `resources.health` knows what checks said.
"""

from collections.abc import Sequence
from itertools import groupby

from resources.errors import DeclarationError


def left_out(flagged: Sequence[bool], *, patience: int) -> list[bool]:
    """Return which partitions are no measure of later ones: the flagged, but for runs of `patience` or more in a row.

    A broken partition must not make the next one look usual. A level that lasts must become usual: else it would be
    flagged for ever, since nothing would be learned of it.

    Args:
        flagged: Whether checks flagged each partition, oldest first.
        patience: Flagged partitions in a row that are a level of their own.

    Raises:
        DeclarationError: If `patience` is not positive.

    >>> left_out([False, True, False, True, True, True], patience=3)
    [False, True, False, False, False, False]
    """
    if patience < 1:
        raise DeclarationError(f"patience must be at least 1 partition, got {patience}")
    runs = [list(run) for _, run in groupby(flagged)]
    return [flag and len(run) < patience for run in runs for flag in run]
