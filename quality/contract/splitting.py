"""Owns the split of batches by a contract: the rows that are kept, typed, and those that are rejected, with reasons.

Batches may be judged in any order, several at once (`Splitter.judge`); one after the other they are taken
(`Splitter.take`), which numbers their rows, finds repeated keys and hands both parts on.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.contract.convert import convert
from quality.contract.duplicates import SeenKeys
from quality.contract.findings import Findings, Reason, count
from quality.contract.rows import examine, leave_out, mark, spell
from quality.contract.screening import screens, without_nan
from quality.contract.spec import Contract

if TYPE_CHECKING:
    import pyarrow as pa

_ROW = "row of the source"
_PIECE = 1 << 12
"""So many rows for each rejected one stay where they are, in pieces between these; fewer are copied into one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one batch by itself.

    Attributes:
        batch: Its rows as they were found.
        kept: Those that fit, in stored types; `unique` was not asked for.
        findings: Row of the batch to its reasons, for the others.
    """

    batch: pl.DataFrame
    kept: pl.DataFrame
    findings: Findings


class Splitter:
    """Splits batches; it remembers which rows were rejected, and which keys it saw.

    Attributes:
        rows: Rows taken.
        reasons: Broken rule to number of rows that break it.
        bad: Numbers of rejected rows, from 0, in order.
    """

    def __init__(
        self,
        contract: Contract,
        found: pl.Schema,
        *,
        keep: Callable[[pl.DataFrame], object] | None = None,
        reject: "Callable[[pa.Table], object] | None" = None,
    ) -> None:
        """Prepare for batches with the columns of `contract`.

        Args:
            contract: What rows must be.
            found: Column to its type in the batches.
            keep: Takes the kept rows of each batch, typed, unless there are none.
            reject: Takes its rejected rows, if any, as text, with `_reason` and `_row`, their number from 1.
        """
        self.rows = 0
        self.reasons: dict[str, int] = {}
        self.bad: list[NDArray[np.int64]] = []
        self._contract, self._found, self._stored = contract, found, contract.polars_schema()
        self._keep, self._reject = keep, reject
        self._seen = SeenKeys(contract.unique) if contract.unique else None
        self._screens = screens(contract, found)
        whole = len(self._screens) == len(contract.columns)
        self._examined = None if whole else leave_out(contract, self._screens.keys())

    def kept(self, batches: Iterable[pl.DataFrame]) -> Generator[pl.DataFrame]:
        """Yield the kept rows of each batch, an empty one first."""
        yield pl.DataFrame(schema=self._stored)
        for batch in batches:
            yield self.take(self.judge(batch))

    def judge(self, batch: pl.DataFrame) -> Judged:
        """Return what the contract says of `batch` by itself; this changes nothing, so threads may share it."""
        typed, findings = self._examine(batch)
        changed: list[pl.Series] = []
        suspects: dict[str, NDArray[np.int64]] = {}
        for name, screen in self._screens.items():
            values = batch.get_column(name)
            stored = without_nan(values)
            if stored is not values:
                changed.append(stored)
            rows = screen.suspects(stored)
            if len(rows):
                suspects[name] = rows
        if changed:
            typed = typed.with_columns(changed)
        if suspects:
            findings = findings | self._reasons(batch, suspects)
        return Judged(batch=batch, kept=_without(typed, sorted(findings)), findings=findings)

    def take(self, judged: Judged) -> pl.DataFrame:
        """Return the kept rows of the next batch, without those whose key was seen before, handing on both parts."""
        kept, findings = judged.kept, judged.findings
        if self._seen is not None:
            repeated = self._seen.repeated(_arrow(kept.select(list(self._contract.unique))))
            if repeated:
                findings = findings | self._repeated(judged, repeated)
                kept = _without(kept, repeated)
        if findings:
            self._hand_on(judged.batch, findings)
        self.rows += judged.batch.height
        if self._keep is not None and kept.height:
            self._keep(kept)
        return kept

    def again(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the kept rows of the same source once more; only the columns that are asked for are read."""
        whole = rows.select(self._retyped(name) for name in self._contract.columns)
        if not self.bad:
            return whole
        bad = pl.Series(np.concatenate(self.bad), dtype=pl.UInt32).implode()
        return whole.with_row_index(_ROW).filter(~pl.col(_ROW).is_in(bad)).drop(_ROW)

    def _examine(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, Findings]:
        """Return the batch with the columns typed that cannot be screened, and the rows where they do not fit."""
        if self._examined is None:
            return batch, {}
        names = list(self._examined.columns)
        examined = examine(_arrow(batch.select(names)), self._examined)
        changed = [name for name in names if self._changes(name)]
        typed = batch.with_columns(pl.Series(name, examined.table.column(name)) for name in changed)
        return typed, examined.findings

    def _reasons(self, batch: pl.DataFrame, suspects: dict[str, NDArray[np.int64]]) -> Findings:
        """Return the reasons of the rows among `suspects`, by column, that do not fit."""
        rows = np.unique(np.concatenate(list(suspects.values())))
        asked = leave_out(self._contract, self._screens.keys() - suspects.keys())
        examined = examine(_arrow(batch.select(list(asked.columns))[rows]), asked)
        return {int(rows[place]): reasons for place, reasons in examined.findings.items()}

    def _repeated(self, judged: Judged, places: Sequence[int]) -> Findings:
        """Return the reason of rows of the batch that are given by number among those kept."""
        names = ", ".join(self._contract.unique)
        reason = Reason(f"{names}: not unique", f"{names}: an earlier row has the same")
        fits = np.delete(np.arange(judged.batch.height), list(judged.findings))
        return {int(row): [reason] for row in fits[places]}

    def _hand_on(self, batch: pl.DataFrame, findings: Findings) -> None:
        bad = sorted(findings)
        self.bad.append(np.array(bad, np.int64) + self.rows)
        for rule, rows in count(findings.values()).items():
            self.reasons[rule] = self.reasons.get(rule, 0) + rows
        if self._reject is not None:
            told = ["; ".join(reason.text for reason in findings[row]) for row in bad]
            self._reject(mark(spell(batch[bad]), told, bad, self.rows + 1))

    def _changes(self, name: str) -> bool:
        return self._found[name] != self._stored[name] or self._stored[name].is_float()

    def _retyped(self, name: str) -> pl.Expr:
        column, dtype = self._contract.columns[name], self._stored[name]
        if not self._changes(name):
            return pl.col(name)
        if self._found[name] == dtype:
            return pl.col(name).fill_nan(None)

        def converted(values: pl.Series) -> pl.Series:
            return pl.Series(name, convert(values.to_arrow(compat_level=pl.CompatLevel.oldest()), name, column)[0])

        return pl.col(name).map_batches(converted, return_dtype=dtype, is_elementwise=True)


def _without(frame: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Return `frame` without some rows, given by number in order."""
    if not rows:
        return frame
    if len(rows) * _PIECE > frame.height:
        fit = np.ones(frame.height, np.bool_)
        fit[rows] = False
        return frame.filter(pl.Series(fit))
    ends = zip([0, *(row + 1 for row in rows)], [*rows, frame.height], strict=True)
    return pl.concat([frame[start:end] for start, end in ends if start < end], rechunk=False)


def _arrow(frame: pl.DataFrame) -> "pa.Table":
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
