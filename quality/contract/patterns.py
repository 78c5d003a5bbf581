"""Owns the patterns of texts: regular expressions of RE2, which the whole text must match."""

from resources.errors import DeclarationError


def whole_match(pattern: str) -> str:
    """Return the expression that only texts match which `pattern` matches from end to end."""
    return rf"\A(?:{pattern})\z"


def check_pattern(pattern: str) -> None:
    """Refuse what is no regular expression of RE2; only it can tell, so this imports pyarrow.

    Raises:
        DeclarationError: With its reason.
    """
    import pyarrow as pa

    from quality.contract.arrow import compute

    texts = pa.nulls(1, pa.string()).fill_null("")
    try:
        for expression in (pattern, whole_match(pattern)):  # `a)|(b` is one only within, `\Q` only without
            compute().match_substring_regex(texts, expression)
    except pa.ArrowInvalid as error:
        raise DeclarationError(f"pattern {pattern!r} is no regular expression of RE2: {error}") from error
