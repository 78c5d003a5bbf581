"""Owns one reading of rows for everything that is asked of them: contract, split, suite and profile.

Each part says just what it says alone (`split`, `run_suite` and `profile` of the kept rows). What a suite asks is
gathered as the rows pass; where that cannot be exact in bounded memory (ranks of values that drift, very many
different ones, what only the pandas engine judges), the columns in question are read again afterwards.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from quality.contract.columns import check_schema
from quality.contract.rows import text_is_untyped
from quality.contract.spec import Contract
from quality.contract.splitting import Splitter
from quality.profile import Profile, profile_batches
from quality.readable import damage_told
from quality.suites.declared import Suite, check_suite, entries_of
from quality.suites.folding import Folding
from quality.suites.result import SuiteResult
from quality.suites.run import run_folded
from quality.suites.source import Assured

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 18
"""Most rows that are looked at together."""
_FEW_SHARE = 4
"""Fewer than one in so many of these are few."""


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
        splitter = Splitter(contract, found, keep=keep, reject=reject)
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
    """Yield the batches as frames, while a thread lets the suite look at the one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="suite") as pool:
        looking: Future[None] | None = None
        for batch in batches:
            frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
            if looking is not None:
                looking.result()
            looking = None if folding is None else pool.submit(folding.add, frame)
            yield frame
        if looking is not None:
            looking.result()


def _lazy(data: "pl.LazyFrame | pl.DataFrame | pa.Table") -> pl.LazyFrame:
    if isinstance(data, pl.LazyFrame):
        return data
    return (data if isinstance(data, pl.DataFrame) else pl.DataFrame(data)).lazy()


def _batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield the rows as they are read, but that few are gathered and very many cut."""
    held: list[pl.DataFrame] = []
    for frame in rows.collect_batches(maintain_order=True, lazy=True):
        held.append(frame)
        if sum(each.height for each in held) >= BATCH_ROWS // _FEW_SHARE:
            yield from _cut(held)
            held = []
    if held:
        yield from _cut(held)


def _cut(held: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    return pl.concat(held, rechunk=len(held) > 1).iter_slices(BATCH_ROWS)


def _arrow(frame: pl.DataFrame) -> "pa.Table":
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
