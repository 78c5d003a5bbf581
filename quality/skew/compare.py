"""Owns the skew check: both sides compared cell by cell, in pieces where they are large, explained and judged."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from quality.matching import Frame, cast_to
from quality.readable import damage_told, require_plain, require_years
from quality.skew.alignment import TABLES, Alignment, align
from quality.skew.cells import Cells, merge
from quality.skew.judging import judge
from quality.skew.kinds import kinds_of
from quality.skew.piece import Piece, SidePiece, look_at
from quality.skew.report import ColumnSkew, Fill, SideSkew, SkewReport, rate
from quality.skew.rule import SkewRule
from resources.errors import ContractError, DeclarationError

PIECE_BYTES = 2 * 10**9
"""About so much is in memory at a time; larger tables are compared in pieces."""
_CELL_BYTES = 16
_SHOWN = 5


def skew(training: Frame, serving: Frame, rule: SkewRule, *, pieces: int | None = None) -> SkewReport:
    """Return how the features of serving differ from those of training, cell by cell.

    Args:
        training: Features as training computed them.
        serving: Features as serving computed or logged them.
        rule: Which columns name a row, and how much may differ.
        pieces: In how many pieces to compare them, each with entities (or a span of time) of its own; None takes as
            many as keep about 2 GB in memory. Lazy frames are scanned once a piece.

    Raises:
        ContractError: If a side is empty, a column is missing, its name is a pattern, its times lie past the years 1 to
            9999, or keys cannot be matched.
        DeclarationError: If `pieces` is below 1.
        SourceError: If a lazy frame cannot be read.
    """
    with damage_told(training, serving):
        return _compared(training, serving, rule, pieces)


def _compared(training: Frame, serving: Frame, rule: SkewRule, pieces: int | None) -> SkewReport:
    left, right = training.lazy(), serving.lazy()
    for name, side in zip(TABLES, (left, right), strict=True):
        require_plain(name, schema := side.collect_schema(), objects=True)
        require_years(name, side, schema)
    rows = [side.select(pl.len()).collect().item() for side in (left, right)]
    for name, count in zip(TABLES, rows, strict=True):
        if not count:
            raise ContractError(f"{name} has no rows: there is nothing to compare; check its path and its time span")
    aligned = align(training, serving, rule)
    if pieces is None:
        pieces = 1 + sum(rows) * (len(aligned.columns) + len(aligned.keys)) * _CELL_BYTES // PIECE_BYTES
    if pieces < 1:
        raise DeclarationError(f"pieces is {pieces}: give at least 1")
    pieces = min(pieces, max(rows))
    found = [
        look_at(left.filter(here).collect(), right.filter(here).collect(), aligned, rule)
        for here in _cuts(left, right, aligned, rule, pieces)
    ]
    return _report(found, aligned, rule)


def _cuts(
    training: pl.LazyFrame, serving: pl.LazyFrame, aligned: Alignment, rule: SkewRule, pieces: int
) -> Iterator[pl.Expr]:
    """Yield for each piece which rows are in it: those of some entities, or of a span of time where keys name none."""
    if pieces == 1:
        yield pl.lit(value=True)
        return
    if rule.keys:
        code = pl.struct(cast_to(aligned.keys[name], name) for name in rule.keys).hash(seed=1) % pieces
    else:
        time = cast_to(aligned.keys[str(rule.time)], str(rule.time)).to_physical()
        ends = pl.concat([s.select(low=time.min(), high=time.max()) for s in (training, serving)]).collect()
        low, high = ends["low"].min(), ends["high"].max()
        if not isinstance(low, int) or not isinstance(high, int):
            raise ContractError(f"no row has a {rule.time}: there is nothing to compare")
        code = (time - low) // max(1, -(-(high - low + 1) // pieces))
    code = code.fill_null(0)
    for piece in range(pieces):
        yield code == piece


def _report(pieces: Sequence[Piece], aligned: Alignment, rule: SkewRule) -> SkewReport:
    paired = sum(piece.paired for piece in pieces)
    slips = [piece.slip for piece in pieces if piece.slip]
    report = SkewReport(
        training=_side([piece.sides[0] for piece in pieces], aligned.alone[0], rule),
        serving=_side([piece.sides[1] for piece in pieces], aligned.alone[1], rule),
        paired=paired,
        late=rate(sum(piece.late for piece in pieces), paired, confidence=rule.confidence) if rule.arrived else None,
        columns=tuple(_column(name, pieces, paired, aligned, rule) for name in aligned.columns),
        slip=max(slips, key=lambda kind: kind.share, default=None),
        counterparts=pieces[0].counterparts,
        changed=tuple(aligned.changed),
        apart=aligned.apart,
    )
    return replace(report, findings=judge(report, rule))


def _side(pieces: Sequence[SidePiece], alone: tuple[str, ...], rule: SkewRule) -> SideSkew:
    keyed, repeated = sum(piece.keyed for piece in pieces), sum(piece.duplicated for piece in pieces)
    return SideSkew(
        rows=sum(piece.rows for piece in pieces),
        keyless=sum(piece.keyless for piece in pieces),
        unpaired=rate(sum(piece.unpaired for piece in pieces), keyed, confidence=rule.confidence),
        duplicated=rate(repeated, keyed + repeated, confidence=rule.confidence),
        unpaired_examples=tuple(key for piece in pieces for key in piece.unpaired_examples)[:_SHOWN],
        duplicated_examples=tuple(key for piece in pieces for key in piece.duplicated_examples)[:_SHOWN],
        columns=alone,
        unlike=tuple(dict.fromkeys(name for piece in pieces for name in piece.unlike))[:_SHOWN],
    )


def _column(name: str, pieces: Sequence[Piece], paired: int, aligned: Alignment, rule: SkewRule) -> ColumnSkew:
    cells = merge([piece.cells[name] for piece in pieces])
    late = rate(cells.late, cells.different, confidence=rule.confidence) if rule.arrived and cells.different else None
    examples = [example for piece in pieces for example in piece.examples[name]]
    return ColumnSkew(
        column=name,
        types=aligned.types[name],
        mismatch=rate(cells.different, paired, confidence=rule.confidence),
        within_ulps=cells.within_ulps,
        missing_training=cells.missing[0],
        missing_serving=cells.missing[1],
        nan_for_null=cells.nan_for_null,
        ulps=cells.ulps,
        fills=_fills(cells),
        examples=tuple(examples[: rule.examples]),
        kinds=kinds_of(cells, late=sum(piece.late for piece in pieces) / max(1, paired)),
        late=late,
    )


def _fills(cells: Cells) -> tuple[Fill, ...]:
    common = sorted(cells.fills.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    return tuple(
        Fill(side="training" if side == "training" else "serving", value=value, count=count)
        for (side, value), count in common
    )
