"""Owns the budget of false alarms: what share of pipelines may see one in a year, and what one look may spend of it.

The budget is spent evenly over the year: linear alpha spending in calendar time (Lan and DeMets, 1983), and within the
year by the union bound (Boole), which holds however the values of different days and metrics depend on each other. Each
partition has its own share, fixed by its length alone. So a backfill in any order and a re-run spend nothing twice, and
a pipeline watches as sharply in its third year as in its first.

Procedures for the false discovery rate online (LORD: Javanmard and Montanari, 2018; SAFFRON, ADDIS) want independent
probabilities, which the same past does not give; e-LOND (Xu and Ramdas, 2024) does not, but as all of them it spends
ever less as time goes on, and what it says of a day depends on the order in which days were judged.
"""

from collections.abc import Mapping
from math import isfinite

from quality.anomalies.calendar import YEAR_S
from resources.errors import DeclarationError

SAFETY = 3.0
"""Of the budget a third is spent: where noise has heavy tails, the laws that a few hundred values teach understate how
often it strays by up to so much (measured by benchmarks/anomalies.py)."""


def shares(weights: Mapping[str, float], *, per_year: float, length_s: float) -> dict[str, float]:
    """Return the probability of a false alarm that each metric of a partition may spend.

    Args:
        weights: Metric to its part of the budget; they are scaled to add up to 1.
        per_year: Largest expected number of false alarms in a year, and so the largest share of pipelines that see any.
        length_s: Length of the partition in seconds.

    Raises:
        DeclarationError: If there are no weights, one is not positive, or the budget is not between 0 and 1.

    >>> found = shares({"rows": 3, "age": 1}, per_year=0.05, length_s=86_400)
    >>> {name: round(alpha * 365.25, 4) for name, alpha in found.items()}
    {'rows': 0.0125, 'age': 0.0042}
    """
    if not 0 < per_year < 1:
        raise DeclarationError(f"false_alarms_per_year must lie between 0 and 1, got {per_year}")
    total = sum(weights.values())
    if not weights or not all(part > 0 for part in weights.values()) or not isfinite(total):
        raise DeclarationError(f"each metric needs a positive part of the budget, got {dict(weights)}")
    spent = per_year / SAFETY * min(1.0, length_s / YEAR_S)
    return {name: spent * part / total for name, part in weights.items()}
