"""Owns the bytes of a raw file on their way in: hashed as they lie there, handed on decompressed and decoded.

It knows no rows. Compression is told by the file name (`.gz`, `.bz2`, `.xz`, `.zst`).
"""

import codecs
import io
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from blake3 import blake3

from resources.errors import SourceError
from resources.source.location import open_bytes, plain_errors, redacted
from resources.source.spec import COMPRESSIONS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_BYTES = 4 * 2**20
_SHOWN_BYTES = 16
_FOREIGN = {
    b"PK\x03\x04": "a zip archive: name the member, zip://MEMBER::URL",
    b"\x1f\x8b": "gzip data: end its name in .gz",
    b"\x28\xb5\x2f\xfd": "zstd data: end its name in .zst",
    b"BZh": "bzip2 data: end its name in .bz2",
    b"\xfd7zXZ": "xz data: end its name in .xz",
    b"PAR1": "a Parquet file: declare format: parquet",
    b"ARROW1": "an Arrow IPC file: declare format: arrow",
    b"\xff\xfe\0\0": "UTF-32 text: declare options: {encoding: utf-32}",
    b"\xff\xfe": "UTF-16 text: declare options: {encoding: utf-16}",
    b"\xfe\xff": "UTF-16 text: declare options: {encoding: utf-16}",
}


class RawFile(io.RawIOBase):
    """A binary file that hashes what is read of it.

    Args:
        file: Open binary file, read once from start to end.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hasher = blake3()

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` from the file and return the number of bytes."""
        view = memoryview(buffer)
        piece = self._file.read(len(view))
        view[: len(piece)] = piece
        self._hasher.update(piece)
        return len(piece)

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left if it is negative; fewer only at the end."""
        piece = self._file.read(size)
        self._hasher.update(piece)
        return piece

    def digest(self) -> str:
        """Return the digest of the whole file; what was not read yet is read now."""
        while self.read(PIECE_BYTES):
            pass
        return self._hasher.hexdigest()


@contextmanager
def open_raw(url: str, *, scratch: Path | None = None) -> Generator[tuple[RawFile, IO[bytes]]]:
    """Open the file at `url` and return it twice: as it lies there, hashed, and decompressed.

    Args:
        url: The file.
        scratch: Folder for an archive that must be fetched first.

    Raises:
        SourceError: If it is missing, unreadable, or its compressed data is damaged or ends early.
    """
    with ExitStack() as stack:
        stack.enter_context(plain_errors(url))
        raw = RawFile(stack.enter_context(open_bytes(url, scratch=scratch)))
        yield raw, _decompressed(raw, url, stack)


def utf8_pieces(file: IO[bytes], url: str, encoding: str | None, *, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Return the file piece by piece as UTF-8 without a byte order mark.

    Args:
        file: Open file, decompressed.
        url: Its place, for messages.
        encoding: Its encoding; None means UTF-8.
        piece_bytes: How much is read at a time.

    Raises:
        SourceError: If the file is empty, another kind of file, or not in the declared encoding.
    """
    first = file.read(piece_bytes)
    if not first:
        raise SourceError(f"{redacted(url)} is empty: put the rows there, or correct the URL")
    name = codecs.lookup(encoding or "utf-8").name
    _check_kind(first, url, name)
    if name in ("utf-8", "ascii"):
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from iter(lambda: file.read(piece_bytes), b"")
    else:
        yield from _decoded(chain([first], iter(lambda: file.read(piece_bytes), b"")), url, name)


def not_utf8(data: bytes, url: str, what: str) -> SourceError:
    """Return the error for text that is not UTF-8, naming the first wrong bytes.

    Args:
        data: The text, from the start of a row.
        url: Its file.
        what: Which part of the file `data` is, such as "row 17".
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        around = data[max(0, error.start - _SHOWN_BYTES // 2) : error.start + _SHOWN_BYTES // 2]
        where = f"byte 0x{data[error.start]:02x} in {around!r}"
    else:
        where = "some bytes"
    return SourceError(
        f"{redacted(url)} is not UTF-8: {where}, {what}: declare options: {{encoding: latin-1}}, or whichever it is"
    )


def _decompressed(raw: RawFile, url: str, stack: ExitStack) -> IO[bytes]:
    name = url.split("::", maxsplit=1)[0].partition("?")[0].lower()
    kind = next((kind for ending, kind in COMPRESSIONS.items() if name.endswith(ending)), None)
    if kind is None:
        return raw  # pyright: ignore[reportReturnType] (RawIOBase reads like IO[bytes])
    return stack.enter_context(_opened(kind, raw))


def _opened(kind: str, raw: RawFile) -> Any:  # Any: readers of four libraries, alike in read()
    import bz2
    import gzip
    import lzma

    if kind == "zstd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    buffered = io.BufferedReader(raw, PIECE_BYTES)
    openers = {
        "gzip": lambda: gzip.GzipFile(fileobj=buffered, mode="rb"),
        "bz2": lambda: bz2.BZ2File(buffered),
        "xz": lambda: lzma.LZMAFile(buffered),  # noqa: SIM115 (the caller closes it)
    }
    return openers[kind]()


def _check_kind(first: bytes, url: str, encoding: str) -> None:
    what = next((what for magic, what in _FOREIGN.items() if first.startswith(magic)), None)
    if what is not None and not what.startswith(encoding[: len("utf-16")].upper()):
        raise SourceError(f"{redacted(url)} is not text but {what}")
    if encoding in ("utf-8", "ascii") and b"\0" in first[:1024]:
        raise SourceError(
            f"{redacted(url)} begins with {first[:_SHOWN_BYTES]!r}, which is no UTF-8 text: "
            "declare its format, or options: {encoding: utf-16}"
        )


def _decoded(pieces: Iterable[bytes], url: str, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    place = 0
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            yield text.removeprefix("\ufeff").encode() if place == 0 else text.encode()
            place += len(piece)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise SourceError(
            f"{redacted(url)} is not {encoding} near byte {place:,} ({error}): correct options.encoding, "
            "or fetch it again"
        ) from error
