"""Owns what every format gives to ingest: blocks that are parsed side by side, and rows that cannot even be parsed.

The formats themselves are in `csv_file`, `jsonl_file`, `parquet_file` and `arrow_file`.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from quality.contract import Contract
from quality.contract.findings import Findings, Reason
from resources.source.location import format_of
from resources.source.spec import Source

if TYPE_CHECKING:
    import pyarrow as pa


BLOCK_BYTES = 8 * 2**20


class Unparsed(NamedTuple):
    """A record that is no row: its number in the block from 0, its text, and why."""

    record: int
    text: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The rows of a block.

    Attributes:
        table: Columns of the contract, as typed as the source has them.
        texts: Returns rows of `table` by index, all columns as the source spells them.
        unparsed: Records that are no rows, in order; they count among the records of the block.
        unfit: Column to the reasons of cells that the parser could not type; they are null in `table`.
    """

    table: "pa.Table"
    texts: "Callable[[Sequence[int]], pa.Table]"
    unparsed: tuple[Unparsed, ...] = ()
    unfit: Mapping[str, Findings] = field(default_factory=dict[str, Findings])

    @property
    def records(self) -> int:
        """Number of records of the block."""
        return len(self.table) + len(self.unparsed)


class Room(NamedTuple):
    """What a format may use: a folder for copies, and about how many bytes a block may have."""

    scratch: Path
    block_bytes: int


class Block(Protocol):
    """A part of a file that is parsed independently of every other."""

    def parse(self) -> Parsed:
        """Return its rows; called in a thread of its own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An open source file.

    Attributes:
        blocks: Its blocks in order, to be taken once.
        digest: Returns the digest of the file's bytes; called after the last block.
    """

    blocks: Iterator[Block]
    digest: Callable[[], str]


@contextmanager
def open_reading(
    source: Source, url: str, contract: Contract, *, scratch: Path, block_bytes: int = BLOCK_BYTES
) -> Generator[Reading]:
    """Open the file at `url` and check its columns.

    Args:
        source: Declares format and options.
        url: The file, without `{partition}`.
        contract: Decides which columns are read, and how.
        scratch: Folder for a copy, where the format needs one.
        block_bytes: About how much is read at a time.

    Raises:
        SourceError: If the file cannot be read, now or later.
        ContractError: If its columns are not those of the contract.
    """
    match format_of(source, url):
        case "csv":
            from resources.source.csv_file import open_csv as opener
        case "jsonl":
            from resources.source.jsonl_file import open_jsonl as opener
        case "parquet":
            from resources.source.parquet_file import open_parquet as opener
        case "arrow":
            from resources.source.arrow_file import open_arrow as opener
    with opener(source, url, contract, Room(scratch, block_bytes)) as reading:
        yield reading
