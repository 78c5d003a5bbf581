"""Owns what needs the rows of more than one block: repeated keys, and the place of rejected rows without a time.

A rejected row whose event time cannot be read belongs to no partition for certain. It goes into the quarantine of every
partition that the times of its nearest readable neighbours span: usually one, never none.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from quality.contract.arrow import without_rows
from quality.contract.duplicates import SeenKeys
from quality.contract.findings import Reason
from quality.contract.rows import mark
from resources.errors import ContractError
from resources.refs import DatasetRef
from resources.source.events import instant_of
from resources.source.judging import RAW_TEXT, Judge, Judged, Rejects, in_order, rejects_of
from resources.storage.datasets import SnapshotWriter
from resources.storage.store import Store

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

HOPELESS_ROWS = 100_000
"""More rejected rows than this, if they are most of the rows, end the ingest: the file is not what was declared."""


_END_OF_TIME = 2**62


class Quarantine:
    """Writes rejected rows to a dataset that is begun with the first of them."""

    def __init__(self, store: Store, schema: "pa.Schema", *, scratch: Path) -> None:
        self._store = store
        self._schema = schema
        self._scratch = scratch
        self._stack = ExitStack()
        self._writer: SnapshotWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._stack.close()

    def write(self, rejects: Rejects, first_record: int) -> None:
        """Append rejected rows, with `_reason` and `_row`, the row number in the file, from 1."""
        if self._writer is None:
            self._writer = self._stack.enter_context(SnapshotWriter(self._store, self._schema, scratch=self._scratch))
        texts = ["; ".join(reason.text for reason in reasons) for reasons in rejects.reasons]
        marked = mark(rejects.texts, texts, rejects.records.tolist(), first_record + 1)
        self._writer.write(marked.cast(self._schema))

    def commit(self, *, partitions: tuple[str, ...]) -> DatasetRef | None:
        """Return the dataset of the rejected rows, or None if there were none."""
        return None if self._writer is None else self._writer.commit(partitions=partitions)


class Intake:
    """Takes judged blocks in the order of the file, writes their rows and counts them.

    Attributes:
        judge: How blocks are judged.
        rows_read: Records so far.
        rows_kept: Rows written to the snapshot.
        rows_rejected: Rows written to quarantine.
        rows_unplaced: Those of them without an event time, where one was asked for.
        reasons: Broken rule to number of rows.
        oldest_us: Earliest event time of the kept rows.
        newest_us: Latest event time of the kept rows.
        examples: Broken rule to the text of the first row that breaks it.
    """

    def __init__(self, judge: Judge, snapshot: SnapshotWriter, quarantine: Quarantine) -> None:
        self.rows_read = self.rows_kept = self.rows_rejected = self.rows_unplaced = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.oldest_us: int | None = None
        self.newest_us: int | None = None
        self.judge = judge
        self._snapshot = snapshot
        self._quarantine = quarantine
        self._seen = SeenKeys(judge.contract.unique) if judge.contract.unique else None
        self._last_time: int | None = None
        self._waiting: list[tuple[int, Rejects]] = []
        self._earliest: int | None = None
        self._latest: int | None = None

    def add(self, judged: Judged) -> "pa.Table":
        """Take the next block and return the rows of it that were written to the snapshot.

        Raises:
            ContractError: If most rows are rejected, and they are many.
        """
        first_record = self.rows_read
        self.rows_read += judged.records
        self._earliest = _least(self._earliest, judged.earliest)
        self._latest = _most(self._latest, judged.latest)
        kept, rejects = self._keep(judged)
        if judged.first_time is not None:
            self._waiting = [(at, _followed_by(waiting, judged.first_time)) for at, waiting in self._waiting]
        if len(rejects):
            self._waiting.append((first_record, _preceded_by(rejects, self._last_time)))
        if judged.last_time is not None:
            self._last_time = judged.last_time
        if sum(len(rejects) for _, rejects in self._waiting) > HOPELESS_ROWS:  # no later time may come: bound memory
            self._waiting = [(at, _followed_by(rejects, _END_OF_TIME)) for at, rejects in self._waiting]
        self._place(everything=False)
        if self.rows_rejected > HOPELESS_ROWS and self.rows_rejected > max(self._tolerated, 0.5) * self.rows_read:
            raise self.nothing_fits()
        return kept

    def finish(self) -> None:
        """Place the rows that waited for a later time."""
        self._place(everything=True)

    def file_span(self) -> str:
        """Return in words the event times that the file has, of all partitions, or nothing if it has none."""
        if self._earliest is None or self._latest is None:
            return ""
        return f" (they go from {instant_of(self._earliest)} to {instant_of(self._latest)})"

    @property
    def rows_here(self) -> int:
        """Rows of the partition so far."""
        return self.rows_kept + self.rows_rejected

    def nothing_fits(self) -> ContractError:
        """Return the error for a file of which most rows break the contract."""
        rules = "; ".join(f"{rule} ({rows:,} rows)" for rule, rows in self.reasons.most_common(5))
        examples = "; ".join(self.examples[rule] for rule, _ in self.reasons.most_common(3))
        return ContractError(
            f"{self.rows_rejected:,} of {self.rows_here:,} rows break the contract: {rules}. For example {examples}. "
            "If the source changed, change the contract; if the file is wrong, fetch it again"
        )

    @property
    def _tolerated(self) -> float:
        return self.judge.contract.max_rejected

    def _keep(self, judged: Judged) -> "tuple[pa.Table, Rejects]":
        """Write the kept rows of a block but for repeated ones; return them, and all that are rejected."""
        repeated = self._seen.repeated(judged.kept) if self._seen else []
        if repeated:
            names = ", ".join(self.judge.contract.unique)
            reason = Reason(f"{names}: not unique", f"{names}: an earlier row has the same")
            again = rejects_of(judged, repeated, reason, self.judge.contract)
        else:
            again = None
        kept = without_rows(judged.kept, repeated)
        if len(kept):
            self._snapshot.write(kept)
        self.rows_kept += len(kept)
        times = np.delete(judged.kept_times, repeated) if len(judged.kept_times) else judged.kept_times
        if len(times):
            self.oldest_us = _least(self.oldest_us, int(times.min()))
            self.newest_us = _most(self.newest_us, int(times.max()))
        return kept, judged.rejects if again is None else in_order([judged.rejects, again])

    def _place(self, *, everything: bool) -> None:
        while self._waiting and (everything or self._placeable(self._waiting[0][1])):
            first_record, rejects = self._waiting.pop(0)
            here = rejects.select([row for row in range(len(rejects)) if self._is_here(rejects, row)])
            if len(here):
                self._quarantine.write(here, first_record)
            self._count(here)

    def _count(self, rejects: Rejects) -> None:
        self.rows_rejected += len(rejects)
        if self.judge.event_time is not None:
            self.rows_unplaced += int((~rejects.timed).sum())
        for reasons in rejects.reasons:
            self.reasons.update({reason.rule for reason in reasons})
            for reason in reasons:
                self.examples.setdefault(reason.rule, reason.text)

    def _placeable(self, rejects: Rejects) -> bool:
        if self.judge.span is None or self.judge.own_file:
            return True
        return bool((rejects.timed | np.array([time is not None for time in rejects.latest], np.bool_)).all())

    def _is_here(self, rejects: Rejects, row: int) -> bool:
        """Return whether the row's time, or the interval between its neighbours' times, touches the partition."""
        span = self.judge.span
        if span is None or self.judge.own_file:
            return True
        times = [time for time in (rejects.earliest[row], rejects.latest[row]) if time is not None]
        return not times or (min(times) < span.end_us and max(times) >= span.start_us)


def quarantine_schema(judge: Judge) -> "pa.Schema":
    """Return the schema of the quarantine: the contract's columns as text, the raw text, the reason, the row number."""
    import pyarrow as pa

    texts = [pa.field(name, pa.string()) for name in (*judge.contract.columns, RAW_TEXT)]
    return pa.schema([*texts, pa.field("_reason", pa.string(), False), pa.field("_row", pa.int64(), False)])


def _least(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _most(one: int | None, other: int | None) -> int | None:
    return max((time for time in (one, other) if time is not None), default=None)


def _preceded_by(rejects: Rejects, time: int | None) -> Rejects:
    return replace(rejects, earliest=tuple(time if known is None else known for known in rejects.earliest))


def _followed_by(rejects: Rejects, time: int) -> Rejects:
    return replace(rejects, latest=tuple(time if known is None else known for known in rejects.latest))
