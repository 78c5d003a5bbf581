"""Owns the judgement of one block: which of its rows are kept, which are rejected, and which belong elsewhere.

It sees one block at a time, in any thread. What needs the rows before or after a block is in `placing.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.contract import Contract
from quality.contract.arrow import array_of, empty_table, take, to_arrow
from quality.contract.findings import Findings, Reason
from quality.contract.rows import examine, legible
from resources.source.events import Clocked, event_times, instant_of
from resources.source.reading import Block, Parsed
from resources.source.spec import EventTime

if TYPE_CHECKING:
    import pyarrow as pa

RAW_TEXT = "_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Half-open interval of event times, in microseconds since 1970 UTC."""

    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejects:
    """Rejected rows of one block, in the order of the file.

    Attributes:
        records: Record number of each, counted from 0.
        reasons: Why.
        earliest: Its event time or, where it has none, that of the nearest row before it that has one, or None.
        latest: Its event time or, where it has none, that of the nearest row after it that has one, or None.
        timed: Whether it has an event time; never without a declared event time.
        texts: The rows as the source spells them, and the text of those that could not be parsed; of texts longer
            than 10,000 characters the beginning, so that rows which wait for their place take little memory.
    """

    records: NDArray[np.int64]
    reasons: "tuple[tuple[Reason, ...], ...]"
    earliest: tuple[int | None, ...]
    latest: tuple[int | None, ...]
    timed: NDArray[np.bool_]
    texts: "pa.Table"

    def __len__(self) -> int:
        return len(self.records)

    def select(self, which: Sequence[int]) -> "Rejects":
        """Return some of the rows, by number, in the given order."""
        chosen = np.asarray(which, np.int64)
        return Rejects(
            records=self.records[chosen],
            reasons=tuple(self.reasons[row] for row in which),
            earliest=tuple(self.earliest[row] for row in which),
            latest=tuple(self.latest[row] for row in which),
            timed=self.timed[chosen],
            texts=take(self.texts, which),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one block.

    Attributes:
        records: All its records.
        kept: Rows that are kept, with the schema of the snapshot.
        kept_rows: Their row numbers in `parsed.table`.
        kept_records: Their record numbers in the block.
        kept_times: Their event times in microseconds, empty without event time.
        rejects: The rejected rows, those of other partitions too where that needs no other block.
        first_time: Event time of the first row that has one, or None.
        last_time: Event time of the last row that has one, or None.
        earliest: Earliest event time of all rows, those of other partitions too, or None.
        latest: Latest of them, or None.
        parsed: The block's rows as they were read.
    """

    records: int
    kept: "pa.Table"
    kept_rows: NDArray[np.int64]
    kept_records: NDArray[np.int64]
    kept_times: NDArray[np.int64]
    rejects: Rejects
    first_time: int | None
    last_time: int | None
    earliest: int | None
    latest: int | None
    parsed: Parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How blocks are judged.

    Attributes:
        contract: What rows must be, with zones in it.
        schema: Schema of the snapshot.
        event_time: When rows happened, or None.
        span: Interval of the partition, or None where all rows are wanted.
        own_file: Whether the file should hold rows of this partition only, so that any other row is wrong.
    """

    contract: Contract
    schema: "pa.Schema"
    event_time: EventTime | None
    span: Span | None
    own_file: bool

    def judge(self, block: Block) -> Judged:
        """Parse, type and judge the rows of `block`."""
        import pyarrow as pa

        parsed = block.parse()
        examined = examine(parsed.table, self.contract, unfit=parsed.unfit)
        clocked = self._clocked(examined.table)
        findings = dict(examined.findings)
        findings.update({row: why for row, why in clocked.findings.items() if row not in findings})
        inside = self._inside(clocked)
        if self.own_file and self.span is not None:
            findings.update(self._misplaced(clocked, inside, findings))
        kept = inside.copy()
        kept[list(findings)] = False
        rows = np.flatnonzero(kept)
        table = clocked.table if len(rows) == len(kept) else clocked.table.filter(to_arrow(pl.Series(kept)))
        records = record_numbers(parsed)
        known = clocked.times_us[clocked.known]
        return Judged(
            records=parsed.records,
            kept=pa.Table.from_arrays(table.columns, schema=self.schema),
            kept_rows=rows,
            kept_records=records[rows],
            kept_times=clocked.times_us[rows] if self.event_time else np.empty(0, np.int64),
            rejects=self._rejects(parsed, findings, clocked, records),
            first_time=int(known[0]) if len(known) else None,
            last_time=int(known[-1]) if len(known) else None,
            earliest=int(known.min()) if len(known) else None,
            latest=int(known.max()) if len(known) else None,
            parsed=parsed,
        )

    def _clocked(self, table: "pa.Table") -> Clocked:
        if self.event_time is None:
            return Clocked(
                table=table,
                times_us=np.zeros(len(table), np.int64),
                known=np.zeros(len(table), np.bool_),
                findings={},
            )
        return event_times(table, self.event_time)

    def _inside(self, clocked: Clocked) -> NDArray[np.bool_]:
        if self.span is None:
            return np.ones(len(clocked.known), np.bool_)
        times = clocked.times_us
        return clocked.known & (times >= self.span.start_us) & (times < self.span.end_us)

    def _misplaced(self, clocked: Clocked, inside: NDArray[np.bool_], findings: Findings) -> Findings:
        name = self.event_time.column if self.event_time else ""
        rule = f"{name}: outside of the partition of its file"
        return {
            row: [
                *findings.get(row, ()),
                Reason(
                    rule, f"{name}: {instant_of(int(clocked.times_us[row]))} is outside of the partition of its file"
                ),
            ]
            for row in np.flatnonzero(clocked.known & ~inside).tolist()
        }

    def _rejects(self, parsed: Parsed, findings: Findings, clocked: Clocked, records: NDArray[np.int64]) -> Rejects:
        rows = np.array(sorted(findings), np.int64)
        if self.span is not None and not self.own_file and len(rows):
            inside = self._inside(clocked)
            rows = rows[inside[rows] | ~clocked.known[rows]]
        reasons = [tuple(findings[row]) for row in rows.tolist()]
        timed = clocked.known[rows]
        times = clocked.times_us[rows].tolist()
        of_rows = Rejects(
            records=records[rows],
            reasons=tuple(reasons),
            earliest=tuple(times[at] if timed[at] else None for at in range(len(rows))),
            latest=tuple(times[at] if timed[at] else None for at in range(len(rows))),
            timed=timed,
            texts=_with_raw_text(parsed.texts(rows.tolist()) if len(rows) else None, self.contract, len(rows)),
        )
        whole = in_order([of_rows, _of_unparsed(parsed, self.contract)])
        return _between_neighbours(whole, records[clocked.known], clocked.times_us[clocked.known])


def record_numbers(parsed: Parsed) -> NDArray[np.int64]:
    """Return the record number in the block of each row of the parsed table."""
    if not parsed.unparsed:
        return np.arange(parsed.records, dtype=np.int64)
    rows = np.ones(parsed.records, np.bool_)
    rows[[one.record for one in parsed.unparsed]] = False
    return np.flatnonzero(rows)


def in_order(parts: Sequence[Rejects]) -> Rejects:
    """Return rejected rows of the same block as one, in the order of the file."""
    import pyarrow as pa

    parts = [part for part in parts if len(part)] or list(parts[:1])
    if len(parts) == 1:
        return parts[0]
    whole = Rejects(
        records=np.concatenate([part.records for part in parts]),
        reasons=tuple(why for part in parts for why in part.reasons),
        earliest=tuple(time for part in parts for time in part.earliest),
        latest=tuple(time for part in parts for time in part.latest),
        timed=np.concatenate([part.timed for part in parts]),
        texts=pa.concat_tables([part.texts for part in parts]),
    )
    return whole.select(np.argsort(whole.records, kind="stable").tolist())


def rejects_of(judged: Judged, kept: Sequence[int], reason: Reason, contract: Contract) -> Rejects:
    """Return kept rows of a block, by number among the kept, as rejected ones."""
    chosen = np.asarray(kept, np.int64)
    times = tuple(judged.kept_times[chosen].tolist()) if len(judged.kept_times) else (None,) * len(kept)
    return Rejects(
        records=judged.kept_records[chosen],
        reasons=((reason,),) * len(kept),
        earliest=times,
        latest=times,
        timed=np.full(len(kept), bool(len(judged.kept_times))),
        texts=_with_raw_text(judged.parsed.texts(judged.kept_rows[chosen].tolist()), contract, len(kept)),
    )


def _of_unparsed(parsed: Parsed, contract: Contract) -> Rejects:
    import pyarrow as pa

    count = len(parsed.unparsed)
    empty = pa.Table.from_arrays([pa.nulls(count, pa.string())] * len(contract.columns), names=list(contract.columns))
    texts = array_of([one.text for one in parsed.unparsed], pl.String())
    return Rejects(
        records=np.array([one.record for one in parsed.unparsed], np.int64),
        reasons=tuple((one.reason,) for one in parsed.unparsed),
        earliest=(None,) * count,
        latest=(None,) * count,
        timed=np.zeros(count, np.bool_),
        texts=legible(empty.append_column(RAW_TEXT, texts)),
    )


def _with_raw_text(texts: "pa.Table | None", contract: Contract, rows: int) -> "pa.Table":
    import pyarrow as pa

    whole = texts if texts is not None else empty_table(pa.schema([(name, pa.string()) for name in contract.columns]))
    return legible(whole).append_column(RAW_TEXT, pa.nulls(rows, pa.string()))


def _between_neighbours(rejects: Rejects, records: NDArray[np.int64], times: NDArray[np.int64]) -> Rejects:
    """Return `rejects` with the times of the nearest rows that have one, for those that have none."""
    if rejects.timed.all() or not len(records):
        return rejects
    after = np.searchsorted(records, rejects.records)
    earliest, latest = list(rejects.earliest), list(rejects.latest)
    for row in np.flatnonzero(~rejects.timed).tolist():
        place = int(after[row])
        earliest[row] = int(times[place - 1]) if place else None
        latest[row] = int(times[place]) if place < len(times) else None
    return Rejects(
        records=rejects.records,
        reasons=rejects.reasons,
        earliest=tuple(earliest),
        latest=tuple(latest),
        timed=rejects.timed,
        texts=rejects.texts,
    )
