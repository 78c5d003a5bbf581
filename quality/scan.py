"""Owns one reading of rows for everything that is asked of them: contract, split, suite and profile.

Each part says just what it says alone (`split`, `run_suite` and `profile` of the kept rows). What a suite asks is
gathered as the rows pass; where that cannot be exact in bounded memory (ranks of values that drift, very many
different ones, what only the pandas engine judges), the columns in question are read again afterwards.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality.contract.columns import check_schema
from quality.contract.convert import convert
from quality.contract.duplicates import SeenKeys
from quality.contract.findings import Findings, Reason, count
from quality.contract.rows import examine, leave_out, mark, render, text_is_untyped
from quality.contract.spec import Contract
from quality.profile import Profile, profile_batches
from quality.readable import damage_told
from quality.suites.declared import Suite, check_suite, entries_of
from quality.suites.folding import Folding
from quality.suites.result import SuiteResult
from quality.suites.run import run_folded
from quality.suites.source import Assured

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 17
_ROW = "row of the source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """What one reading of some rows told.

    Attributes:
        rows: Rows read.
        rejected: Rows among them that break the contract.
        reasons: Broken rule to number of rows that break it.
        suite: Result of the suite on the kept rows, or None if none was given.
        profile: Profile of the kept rows, or None if it was not asked for.
    """

    rows: int
    rejected: int
    reasons: dict[str, int]
    suite: SuiteResult | None
    profile: Profile | None

    @property
    def kept(self) -> int:
        """Rows that fit."""
        return self.rows - self.rejected


def scan(
    data: "pl.LazyFrame | pl.DataFrame | pa.Table",
    contract: Contract,
    *,
    suite: Suite | None = None,
    profiled: bool = True,
    keep: Callable[[pl.DataFrame], object] | None = None,
    reject: "Callable[[pa.Table], object] | None" = None,
) -> Scanned:
    """Split rows by a contract, run a suite on those that fit and profile them, reading them once.

    Args:
        data: The rows. A lazy frame need not fit in memory; each collection of it must give the same rows.
        contract: What rows must be, `unique` included.
        suite: Great Expectations suite on the kept rows.
        profiled: Whether to profile the kept rows.
        keep: Takes the kept rows, batch by batch, in order, typed by the contract.
        reject: Takes the rejected rows likewise, as text, with `_reason` and `_row`, their row number from 1.

    Raises:
        ContractError: If the columns are not the contract's.
        DeclarationError: If the suite is wrong, or, after all rows were handed on, cannot be evaluated on them.
        SourceError: If the data cannot be read.
    """
    if suite is not None:
        check_suite(suite, columns=list(contract.columns))
    full = [name for name, column in contract.columns.items() if not column.nullable]
    folding = None
    if suite is not None:
        folding = Folding(entries_of(suite), contract.polars_schema(), full=full, assured=assured_by(contract))
    with damage_told(data):
        rows = _lazy(data)
        found = rows.collect_schema()
        check_schema(text_is_untyped(_arrow(pl.DataFrame(schema=found)).schema, contract), contract)
        rows = rows.select(list(contract.columns))
        splitter = _Splitter(contract, found, keep=keep, reject=reject)
        profile = observe(splitter.kept(_batches(rows)), folding, profiled=profiled)
    result = None
    if suite is not None and folding is not None:
        result = run_folded(suite, folding, lambda: nullcontext(splitter.again(rows)))
    return Scanned(
        rows=splitter.rows,
        rejected=sum(map(len, splitter.bad)),
        reasons=dict(sorted(splitter.reasons.items(), key=lambda item: (-item[1], item[0]))),
        suite=result,
        profile=profile,
    )


def assured_by(contract: Contract) -> dict[str, Assured]:
    """Return what a contract makes certain of the values of rows that fit it, so that no suite has to ask for it."""
    return {
        name: Assured(lowest=column.lowest, highest=column.highest, allowed=column.allowed)
        for name, column in contract.columns.items()
    }


def observe(batches: "Iterable[pl.DataFrame | pa.Table]", folding: Folding | None, *, profiled: bool) -> Profile | None:
    """Take all batches, gathering what a suite asks of them, and return their profile if it is wanted.

    Raises:
        ContractError: If a profile is wanted and there is no batch, not even an empty one.
    """
    passing = _passing(batches, folding)
    if profiled:
        return profile_batches(passing)
    for _ in passing:
        pass
    return None


def _passing(batches: "Iterable[pl.DataFrame | pa.Table]", folding: Folding | None) -> Iterator[pl.DataFrame]:
    for batch in batches:
        frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
        if folding is not None:
            folding.add(frame)
        yield frame


class _Splitter:
    """Splits batches in order; it remembers which rows were rejected."""

    def __init__(
        self,
        contract: Contract,
        found: pl.Schema,
        *,
        keep: Callable[[pl.DataFrame], object] | None,
        reject: "Callable[[pa.Table], object] | None",
    ) -> None:
        self.rows = 0
        self.reasons: dict[str, int] = {}
        self.bad: list[NDArray[np.int64]] = []
        self.contract, self.found, self.stored = contract, found, contract.polars_schema()
        self.keep, self.reject = keep, reject
        self.lax = [name for name in contract.columns if self._is_lax(name)]

    def kept(self, batches: Iterable[pl.DataFrame]) -> Generator[pl.DataFrame]:
        """Yield the kept rows of each batch, an empty one first, handing on both parts."""
        seen = SeenKeys(self.contract.unique) if self.contract.unique else None
        yield pl.DataFrame(schema=self.stored)
        for batch in batches:
            kept = self._split(batch, seen)
            if self.keep is not None and kept.height:
                self.keep(kept)
            yield kept

    def again(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the kept rows of the same source once more; only the columns that are asked for are read."""
        whole = rows.select(self._retyped(name) for name in self.contract.columns)
        if not self.bad:
            return whole
        bad = pl.Series(np.concatenate(self.bad), dtype=pl.UInt32).implode()
        return whole.with_row_index(_ROW).filter(~pl.col(_ROW).is_in(bad)).drop(_ROW)

    def _split(self, batch: pl.DataFrame, seen: SeenKeys | None) -> pl.DataFrame:
        typed, findings = self._examined(batch)
        if seen is not None:
            fits = np.setdiff1d(np.arange(batch.height), list(findings))
            findings |= self._repeated(typed[fits], fits, seen)
        kept = typed
        if findings:
            fit = np.ones(batch.height, np.bool_)
            fit[list(findings)] = False
            kept = typed.filter(pl.Series(fit))
            self._hand_on(batch, findings)
        self.rows += batch.height
        return kept

    def _examined(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, Findings]:
        """Return the batch in stored types, and the reasons of the rows that do not fit."""
        certain = {name for name in self.lax if self._is_whole(batch[name])}
        if len(certain) == len(self.contract.columns):
            return batch, {}
        asked = leave_out(self.contract, certain)
        examined = examine(_arrow(batch.select(list(asked.columns))), asked)
        changed = [name for name in asked.columns if self._changes(name)]
        typed = batch.with_columns(pl.Series(name, examined.table.column(name)) for name in changed)
        return typed, dict(examined.findings)

    def _repeated(self, fitting: pl.DataFrame, rows: NDArray[np.int64], seen: SeenKeys) -> Findings:
        names = ", ".join(self.contract.unique)
        reason = Reason(f"{names}: not unique", f"{names}: an earlier row has the same")
        again = seen.repeated(_arrow(fitting.select(list(self.contract.unique))))
        return {int(rows[place]): [reason] for place in again}

    def _hand_on(self, batch: pl.DataFrame, findings: Findings) -> None:
        bad = sorted(findings)
        self.bad.append(np.array(bad, np.int64) + self.rows)
        for rule, rows in count(findings.values()).items():
            self.reasons[rule] = self.reasons.get(rule, 0) + rows
        if self.reject is not None:
            texts = render(_arrow(batch[bad]), range(len(bad)))
            told = ["; ".join(reason.text for reason in findings[row]) for row in bad]
            self.reject(mark(texts, told, bad, self.rows + 1))

    def _is_lax(self, name: str) -> bool:
        """Return whether any value of the column fits: of dates and times, years are judged too."""
        column, dtype = self.contract.columns[name], self.stored[name]
        rules = (column.lowest, column.highest, column.allowed, column.pattern)
        return self.found[name] == dtype and not dtype.is_temporal() and all(rule is None for rule in rules)

    def _is_whole(self, values: pl.Series) -> bool:
        """Return whether no value is missing that must be there, and none is NaN, which is stored as null."""
        there = self.contract.columns[values.name].nullable or not values.null_count()
        return there and not (values.dtype.is_float() and values.is_nan().any())

    def _changes(self, name: str) -> bool:
        return self.found[name] != self.stored[name] or self.stored[name].is_float()

    def _retyped(self, name: str) -> pl.Expr:
        column, dtype = self.contract.columns[name], self.stored[name]
        if not self._changes(name):
            return pl.col(name)
        if self.found[name] == dtype:
            return pl.col(name).fill_nan(None)

        def converted(values: pl.Series) -> pl.Series:
            return pl.Series(name, convert(values.to_arrow(compat_level=pl.CompatLevel.oldest()), name, column)[0])

        return pl.col(name).map_batches(converted, return_dtype=dtype, is_elementwise=True)


def _lazy(data: "pl.LazyFrame | pl.DataFrame | pa.Table") -> pl.LazyFrame:
    if isinstance(data, pl.LazyFrame):
        return data
    return (data if isinstance(data, pl.DataFrame) else pl.DataFrame(data)).lazy()


def _batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    return iter(rows.collect_batches(maintain_order=True, chunk_size=BATCH_ROWS, lazy=True))


def _arrow(frame: pl.DataFrame) -> "pa.Table":
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
