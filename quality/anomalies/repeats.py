"""Owns the test for a frozen feed: the same value again and again, where the past changed with every partition."""

from collections.abc import Sequence
from itertools import pairwise

LONGEST = 7
"""Steps of a run that are weighed; those before it are part of the past."""


def repeated(values: Sequence[float | None]) -> tuple[int, float]:
    """Return how often the last value was repeated without a break, and how probable so long a run is.

    Each step repeats the value with probability (repeats + 1) / (steps + 2), as the steps before the run tell (the rule
    of succession: Laplace, 1774). Where values are often equal, such as the hours of a day, a run is probable.

    Args:
        values: Oldest first, None where unknown.

    >>> run, chance = repeated([5, 7, 6, 9, 4, 4, 4])
    >>> run, round(chance, 4)
    (2, 0.0278)
    """
    known = [value for value in values if value is not None]
    run = 0
    while run < min(LONGEST, len(known) - 1) and known[-run - 2] == known[-1]:
        run += 1
    before = known[: len(known) - run]
    steps = max(0, len(before) - 1)
    ties = sum(one == two for one, two in pairwise(before))
    return run, ((ties + 1) / (steps + 2)) ** run
