"""Owns the cutting of text into blocks of whole records, so that blocks can be parsed side by side.

A record of CSV may hold line breaks between quotes; pyarrow's rule is followed: a quote opens a value only at its
start, and a doubled quote does not close it.
"""

import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from resources.errors import SourceError
from resources.source.location import redacted

LONGEST_RECORD_BYTES = 64 * 2**20

Cut = Callable[[bytes], int]
"""Returns where the last whole record of a text ends that begins with a record; 0 where none does."""


def blocks(pieces: Iterator[bytes], cut: Cut, url: str, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Return the text in blocks of whole records, each with whether it is the last, which may lack its line break.

    Raises:
        SourceError: If a record is longer than any record should be.
    """
    rest: list[bytes] = []
    size = 0
    goal = block_bytes
    for piece in pieces:
        rest.append(piece)
        size += len(piece)
        if size < goal:
            continue
        data = b"".join(rest)
        end = cut(data)
        if end:
            yield data[:end], False
        elif size > LONGEST_RECORD_BYTES:
            raise SourceError(
                f"{redacted(url)} has a record of more than {LONGEST_RECORD_BYTES >> 20} MiB, from {data[:40]!r} on: "
                "a quote that is never closed, or no line breaks"
            )
        rest, size = [data[end:]], len(data) - end
        goal = block_bytes if end else size * 2
    yield b"".join(rest), True


def cut_lines(data: bytes) -> int:
    """Return where the last whole line of `data` ends."""
    return data.rfind(b"\n") + 1


def csv_cut(delimiter: str, quote: str) -> Cut:
    """Return the cut of CSV text with this delimiter and quote character."""
    mark, separator = quote.encode(), delimiter.encode()
    record = _record(re.escape(separator), re.escape(mark))

    def cut(data: bytes) -> int:
        if mark not in data:
            return cut_lines(data)
        text = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(text == mark[0])
        if not _only_at_starts(text, quotes, separator + mark + b"\r\n"):
            return _cut_by_records(record, data)
        return _cut_outside(data, quotes)

    return cut


def _only_at_starts(text: NDArray[np.uint8], quotes: NDArray[np.int64], before: bytes) -> bool:
    """Return whether every other quote follows a character of `before`, so that quotes simply alternate."""
    openers = quotes[::2]
    openers = openers[openers > 0]
    return bool(np.isin(text[openers - 1], np.frombuffer(before, np.uint8)).all())


def _cut_outside(data: bytes, quotes: NDArray[np.int64]) -> int:
    """Return the end of the last line break that an even number of quotes precedes."""
    end = len(data)
    while (at := data.rfind(b"\n", 0, end)) >= 0:
        before = int(np.searchsorted(quotes, at))
        if before % 2 == 0:
            return at + 1
        end = int(quotes[before - 1])
    return 0


def _cut_by_records(record: re.Pattern[bytes], data: bytes) -> int:
    end = 0
    while match := record.match(data, end):
        end = match.end()
    return end


def _record(separator: bytes | str, quote: bytes | str) -> re.Pattern[bytes]:
    s, q = (text if isinstance(text, bytes) else text.encode() for text in (separator, quote))
    plain = rb"[^" + s + rb"\r\n]*+"
    value = rb"(?:" + q + rb"(?:[^" + q + rb"]|" + q + q + rb")*+" + q + plain + rb"|(?!" + q + rb")" + plain + rb")"
    return re.compile(value + rb"(?:" + s + value + rb")*+(?:\r?\n|\r(?!\Z))")
