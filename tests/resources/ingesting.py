"""What the tests of ingest share: a store in a folder, small files, and the rows that came out."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quality.contract import Column, Contract
from resources.source import EventTime, Source
from resources.source.ingest import Ingested, ingest
from resources.storage.datasets import read_frame
from resources.storage.store import Store, open_store

RIDES = Contract(
    columns={
        "at": Column(type="timestamp[us, tz=UTC]"),
        "zone": Column(type="string", allowed=("north", "south")),
        "rides": Column(type="int64", minimum=0),
    },
    max_rejected=0.5,
)
AT = EventTime(column="at")
JANUARY = (datetime(2011, 1, 1, tzinfo=UTC), datetime(2011, 2, 1, tzinfo=UTC))
FEBRUARY = (datetime(2011, 2, 1, tzinfo=UTC), datetime(2011, 3, 1, tzinfo=UTC))


class Workplace:
    """A store and a scratch folder, and `ingest` into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.store: Store = open_store(str(folder / "store"), cache=folder / "cache")

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a source file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(self, url: str | Path, contract: Contract = RIDES, **options: Any) -> Ingested:
        """Ingest the file at `url`; options of `Source` and of `ingest` may be mixed."""
        fields = {name: options.pop(name) for name in ("format", "options", "url_env", "sample") if name in options}
        return ingest(Source(url=str(url), **fields), contract, store=self.store, scratch=self.scratch, **options)

    def rows(self, done: Ingested) -> list[dict[str, Any]]:
        """Return the rows that were kept."""
        return read_frame(self.store, done.ref.digest).to_dicts()

    def rejected(self, done: Ingested) -> list[dict[str, Any]]:
        """Return the rows that were rejected."""
        return [] if done.quarantine is None else read_frame(self.store, done.quarantine.digest).to_dicts()

    def reasons(self, done: Ingested) -> Mapping[int, str]:
        """Return the reasons of the rejected rows by row number."""
        return {row["_row"]: row["_reason"] for row in self.rejected(done)}


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """Return a fresh workplace."""
    return Workplace(tmp_path)


def csv_text(rows: Sequence[Sequence[object]], header: str = "at,zone,rides") -> str:
    """Return CSV text of plain cells."""
    return "\n".join([header, *(",".join(str(cell) for cell in row) for row in rows)]) + "\n"


def hours(count: int, start: str = "2011-01-30T00:00:00Z") -> list[list[object]]:
    """Return one good row an hour."""
    from datetime import timedelta

    first = datetime.fromisoformat(start)
    made: Callable[[int], str] = lambda hour: (first + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731
    return [[made(hour), ("north", "south")[hour % 2], hour] for hour in range(count)]
