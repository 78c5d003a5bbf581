"""Owns how feature importance is told: shares by name."""

from collections.abc import Sequence


def shares(names: Sequence[str], amounts: Sequence[float]) -> dict[str, float]:
    """Return each name's share of the sum of `amounts`, largest first, ties by name.

    Args:
        names: Feature names.
        amounts: How much each matters, not negative, in any unit.

    >>> shares(["a", "b"], [1.0, 3.0])
    {'b': 0.75, 'a': 0.25}
    """
    total = sum(amounts) or 1.0
    ranked = sorted(zip(names, amounts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return {name: amount / total for name, amount in ranked}
