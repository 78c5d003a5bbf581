"""Owns the one canonical form of JSON values and the digest of bytes and values.

Digests are BLAKE3-256 in lower-case hex. Canonical JSON has sorted keys, no white space, UTF-8, and floats
as the shortest text that reads back to the same IEEE-754 double; NaN and infinities are refused.
"""

import json
from pathlib import Path
from typing import Any

from blake3 import blake3

DIGEST_LENGTH = 64
_HEX_DIGITS = frozenset("0123456789abcdef")


def canonical_json(value: object) -> bytes:
    """Return the canonical JSON text of `value`.

    Raises:
        ValueError: If `value` holds NaN or an infinity.
        TypeError: If `value` is not made of dict, list, tuple, str, int, float, bool, None.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the BLAKE3-256 digest of `data`, 64 hex digits.

    >>> digest_bytes(b"")[:16]
    'af1349b9f5f9a1a6'
    """
    return blake3(data).hexdigest()


def digest_value(value: object) -> str:
    """Return the digest of the canonical JSON of `value`."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """Return the digest of the file at `path`, read through a memory map."""
    hasher = blake3()
    if path.stat().st_size:
        hasher.update_mmap(path)
    return hasher.hexdigest()


def parse_json(data: bytes) -> Any:  # Any: JSON text has no static type
    """Return the value of JSON text, refusing NaN and infinities as `canonical_json` does."""

    def refuse(name: str) -> None:
        raise ValueError(f"JSON holds {name}; canonical JSON has finite numbers only")

    return json.loads(data, parse_constant=refuse)


def is_hex(text: str) -> bool:
    """Return whether `text` has lower-case hex digits only."""
    return _HEX_DIGITS.issuperset(text)
