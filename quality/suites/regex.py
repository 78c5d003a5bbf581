"""Owns the translation of Python's regular expressions into those of Rust's `regex`, which Polars uses.

It goes by the parse tree of Python's own parser, so what has another meaning there is said in other words, and what
does not exist there (look-around, back-references, possessive quantifiers) is refused.
"""

import re
import unicodedata
import warnings
from re import _constants as codes  # pyright: ignore[reportAttributeAccessIssue]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

_NEWEST_AGE = 16
"""Newest version of Unicode that Rust's `regex` knows the ages of."""
_UNICODE = unicodedata.unidata_version.rpartition(".")[0]
_KNOWN = rf"&&\p{{Age={_UNICODE}}}" if float(_UNICODE) <= _NEWEST_AGE else ""  # Rust knows characters that came later
_CATEGORIES = {
    codes.CATEGORY_DIGIT: rf"[\p{{Nd}}{_KNOWN}]",
    codes.CATEGORY_SPACE: r"\s\x1c-\x1f",
    codes.CATEGORY_WORD: rf"[[\p{{L}}\p{{N}}_]{_KNOWN}]",
}
_NEGATED = {
    codes.CATEGORY_NOT_SPACE: codes.CATEGORY_SPACE,
    codes.CATEGORY_NOT_WORD: codes.CATEGORY_WORD,
    codes.CATEGORY_NOT_DIGIT: codes.CATEGORY_DIGIT,
}
_MOST_REPEATS = 1_000
"""Rust's compiled form is limited in size, and grows with the repeats."""


class Untranslatable(Exception):
    """Rust's regular expressions cannot say it."""


def translate(pattern: str) -> str:
    r"""Return the Rust pattern that is found in the same texts as `pattern`.

    Raises:
        Untranslatable: If it uses what Rust lacks, or is no regular expression.

    >>> translate(r"^\s+$")
    '\\A[\\s\\x1c-\\x1f]+(?:\\n?\\z)'
    """
    if "{," in pattern:
        raise Untranslatable("a repeat without a lower limit")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # brackets in brackets, of which Python warns
            tree = parser.parse(pattern)
    except (re.error, FutureWarning, DeprecationWarning) as error:
        raise Untranslatable(str(error)) from error
    if tree.state.flags & ~re.UNICODE.value:
        raise Untranslatable("flags")
    return _sequence(tree)


def _sequence(items: Any) -> str:  # Any: the parser's tree is not typed
    return "".join(_item(code, argument) for code, argument in items)


def _item(code: Any, argument: Any) -> str:
    match code:
        case codes.LITERAL:
            return _literal(argument)
        case codes.NOT_LITERAL:
            return f"[^{_literal(argument)}]"
        case codes.ANY:
            return r"[^\n]"
        case codes.IN:
            return _set(argument)
        case codes.AT:
            return _anchor(argument)
        case codes.BRANCH:
            return f"(?:{'|'.join(_sequence(branch) for branch in argument[1])})"
        case codes.SUBPATTERN:
            _, added, removed, inner = argument
            if added or removed:
                raise Untranslatable("flags")
            return f"(?:{_sequence(inner)})"
        case codes.MAX_REPEAT | codes.MIN_REPEAT:
            return _repeat(*argument, lazy=code is codes.MIN_REPEAT)
        case _:
            raise Untranslatable(str(code).lower())


def _literal(number: int) -> str:
    character = chr(number)
    if 0xD800 <= number <= 0xDFFF:
        raise Untranslatable("surrogates")
    return character if character.isalnum() or number > 127 else f"\\x{number:02x}"


def _set(items: Any) -> str:
    negated = items[0][0] is codes.NEGATE
    parts: list[str] = []
    for code, argument in items[1:] if negated else items:
        if code is codes.LITERAL:
            parts.append(_literal(argument))
        elif code is codes.RANGE:
            parts.append(f"{_literal(argument[0])}-{_literal(argument[1])}")
        elif code is codes.CATEGORY:
            parts.append(_category(argument))
        else:
            raise Untranslatable(str(code).lower())
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _category(code: Any) -> str:
    if code in _CATEGORIES:
        return _CATEGORIES[code]
    return f"[^{_CATEGORIES[_NEGATED[code]]}]"


def _anchor(code: Any) -> str:
    match code:
        case codes.AT_BEGINNING | codes.AT_BEGINNING_STRING:
            return r"\A"
        case codes.AT_END:
            return r"(?:\n?\z)"
        case codes.AT_END_STRING:
            return r"\z"
        case _:
            raise Untranslatable("word boundaries")


def _repeat(low: int, high: Any, item: Any, *, lazy: bool) -> str:
    most = None if high is codes.MAXREPEAT else int(high)
    if max(low, most or 0) > _MOST_REPEATS:
        raise Untranslatable(f"more than {_MOST_REPEATS:,} repeats")
    short: dict[tuple[int, int | None], str] = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    count = short.get((low, most)) or (f"{{{low}}}" if low == most else f"{{{low},{'' if most is None else most}}}")
    inner = _sequence(item)
    single = len(item) == 1 and item[0][0] in (codes.LITERAL, codes.IN, codes.ANY, codes.NOT_LITERAL)
    return f"{inner if single else f'(?:{inner})'}{count}{'?' if lazy else ''}"
