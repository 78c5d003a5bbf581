"""Owns the wording of amounts in what people are told: bytes, and numbers of three digits."""


def size(value: float) -> str:
    """Return an amount of bytes.

    >>> size(999), size(81_000), size(1.23e9)
    ('999 B', '81.0 kB', '1.23 GB')
    """
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:#.3g}".rstrip(".") + f" {unit}"
    return f"{value:.0f} B"


def count(value: float) -> str:
    """Return a number with three digits.

    >>> count(12_345_678), count(4_500), count(12)
    ('12.3 M', '4.50 k', '12')
    """
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:#.3g}".rstrip(".") + f" {unit}"
    return f"{value:.0f}"
