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


def unless_again(flagged: Sequence[bool]) -> list[bool]:
    """Return which partitions are no measure of later ones: the flagged, while all of them are one run.

    For limits that are learned from the partitions themselves. Such a limit holds its level only if all healthy
    partitions teach it (Bates, Candes, Lei, Romano and Sesia, 2023, Testing for outliers with conformal p-values):
    whoever leaves out what passed it makes it ever tighter, and flags the same day of each week for ever. One run may
    be a fault, and must not blunt the alarm on the next one; of two the limit itself is the likelier cause.

    Args:
        flagged: Whether the limit was passed by each partition that is remembered, oldest first.

    >>> unless_again([False, True, True, False]), unless_again([True, False, True])
    ([False, True, True, False], [False, False, False])
    """
    runs = sum(flag for flag, _ in groupby(flagged))
    return [flag and runs == 1 for flag in flagged]
