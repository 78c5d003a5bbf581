"""Owns the profile of a column of more rows than are profiled at once: they pass in pieces, of whatever size.

A column of few distinct values is counted whole. Of any other, ends, moments, the number of distinct values and the
lengths of texts are those of all rows, while ranks, histogram and frequent values are those of a sample.
"""

import math
from dataclasses import replace
from typing import Protocol

import numpy as np
import polars as pl

from quality.profiles.binned import Binned, ranked
from quality.profiles.columns import (
    FREQUENT_FLOATS,
    ColumnProfile,
    described_numbers,
    described_texts,
    discrete_fields,
    finite_numbers,
    kind_of,
    numbers_of,
    plain_column,
    seconds_of,
    with_ranks,
    with_times,
    with_values,
    without_odd,
)
from quality.profiles.counted import Counted, Numbers, count_cheaply
from quality.profiles.distinct import HyperLogLog
from quality.profiles.frequent import LISTED, Frequent, frequent_numbers, frequent_texts, listed_texts, repeated
from quality.profiles.hashing import hash_numbers, hash_texts
from quality.profiles.moments import merge_powers
from quality.profiles.powers import Ends, Powers, counted_powers, power_unit, row_powers
from quality.profiles.quantiles import sketch
from quality.profiles.scaled import Scaled, scaled_frequent
from quality.profiles.tallies import CategoryTally, NumberTally, TextTally
from quality.profiles.texts import count_categories, count_lengths, count_texts


class Running(Protocol):
    """The profile of a column so far."""

    def add(self, values: pl.Series) -> None:
        """Take the next rows."""

    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        """Return the profile of all rows, with a quantile sketch of so many cut points, from a sample but its nulls."""
        ...


def running(dtype: pl.DataType) -> Running:
    """Return the profile of no rows of a column of this type."""
    match kind_of(dtype):
        case "number":
            return _Numbers(dtype)
        case "time":
            return _Times(dtype)
        case "text":
            return _Texts(dtype)
        case "boolean" | "category":
            return _Categories(dtype)
        case _:
            return _Others(dtype)


class _Others:
    """What is counted of any column."""

    def __init__(self, dtype: pl.DataType) -> None:
        self._plain = plain_column(dtype)

    def add(self, values: pl.Series) -> None:
        self._present(values)

    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        return self._plain

    def _present(self, values: pl.Series) -> pl.Series:
        nulls = values.null_count()
        self._count(count=len(values) - nulls, nulls=nulls)
        return values.drop_nulls() if nulls else values

    def _count(self, **found: int) -> None:
        self._plain = replace(self._plain, **{name: getattr(self._plain, name) + n for name, n in found.items()})

    def _sampled(self, listed: Frequent, distinct: HyperLogLog, size: int) -> ColumnProfile:
        """Return the column with its distinct values and the frequent ones of a sample of that size."""
        count = self._plain.count
        fields = discrete_fields(scaled_frequent(listed, size, count), distinct.registers, count)
        return replace(self._plain, **fields, sampled=size, approximate=True)


class _Categories(_Others):
    def __init__(self, dtype: pl.DataType) -> None:
        super().__init__(dtype)
        self._tally = CategoryTally()

    def add(self, values: pl.Series) -> None:
        self._tally.add(*count_categories(self._present(values)))

    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        return with_values(self._plain, *listed_texts(*self._tally.counted()))


class _Texts(_Others):
    def __init__(self, dtype: pl.DataType) -> None:
        super().__init__(dtype)
        self._tally: TextTally | None = TextTally()
        self._distinct = HyperLogLog()
        self._lengths = _Numbers(pl.Int64())

    def add(self, values: pl.Series) -> None:
        texts = self._present(values)
        if self._tally is not None:
            texts = texts[self._tally.add(texts) :]
            if self._tally.is_full:
                self._leave(self._tally)
        if len(texts):
            self._distinct.add(hash_texts(texts))
            self._lengths.add(texts.str.len_chars())

    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        if self._tally is not None:
            counted = self._tally.counted()
            return described_texts(self._plain, listed_texts(*counted), count_lengths(*counted), points)
        few = count_texts(sample)
        listed = (frequent_texts(sample) if few is None else listed_texts(*few))[0]
        lengths = self._lengths.profile(sample.str.len_chars(), points)
        return replace(self._sampled(listed, self._distinct, max(1, len(sample))), lengths=lengths)

    def _leave(self, tally: TextTally) -> None:
        """Go on without the tally: it has too many texts."""
        texts, counts = tally.counted()
        self._tally = None
        self._distinct.add(hash_texts(texts))
        self._lengths.add_counted(count_lengths(texts, counts))


class _Numbers(_Others):
    def __init__(self, dtype: pl.DataType) -> None:
        super().__init__(dtype)
        self._tally: NumberTally | None = NumberTally()
        self._distinct = HyperLogLog()
        self._ends: Ends | None = None
        self._unit, self._near = 1.0, 0.0
        self._powers: list[Powers] = []

    def add(self, values: pl.Series) -> None:
        numbers = self._numbers(self._present(values))
        if self._tally is not None:
            numbers = self._finite(numbers)
            numbers = numbers[self._tally.add(numbers) :]
            if self._tally.is_full:
                self._leave(self._tally)
        if len(numbers):
            self._add_many(numbers)

    def add_counted(self, counted: Counted) -> None:
        """Take the first values of all, counted."""
        self._count(count=counted.rows)
        if self._tally is not None:
            self._tally.add_counted(counted)
            if self._tally.is_full:
                self._leave(self._tally)

    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        if self._tally is not None:
            return described_numbers(self._plain, self._tally.counted(), points)
        found = ranked(self._some(finite_numbers(sample)[0]))
        whole = np.issubdtype(found.values.dtype, np.integer)
        listed = frequent_numbers(found, listed=LISTED if whole else FREQUENT_FLOATS)[0]
        described = self._sampled(listed, self._distinct, found.rows)
        shape = merge_powers(self._powers, self._unit)
        return with_ranks(described, self._scaled(found), shape, points, whole=whole)

    def _numbers(self, present: pl.Series) -> Numbers:
        return numbers_of(present)

    def _finite(self, numbers: Numbers) -> Numbers:
        """Return those that are finite, and count the others."""
        finite, odd = without_odd(numbers)
        self._count(count=len(finite) - len(numbers), **odd)
        return finite

    def _add_many(self, numbers: Numbers) -> None:
        """Take numbers of a column of many distinct ones."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = row_powers(numbers, self._unit, self._near)
        if found is not None:
            powers, ends = found
            self._add_powers(powers)
            self._see(numbers, ends)
        elif len(finite := self._finite(numbers)):
            self._add_many(finite)

    def _add_powers(self, powers: Powers) -> None:
        self._powers.append(powers)
        self._near = powers.mean if math.isfinite(powers.mean) else 0.0

    def _leave(self, tally: NumberTally) -> None:
        """Go on without the tally: it has too many numbers."""
        counted, self._tally = tally.counted(), None
        if counted.ends is None:
            return
        self._see(counted.values, counted.ends)
        self._unit = power_unit(counted.ends)
        with np.errstate(over="ignore", invalid="ignore"):
            self._add_powers(counted_powers(counted, self._unit))

    def _see(self, values: Numbers, ends: Ends) -> None:
        """Take values that lie between `ends` for the number of distinct ones and the ends of all."""
        self._distinct.add(hash_numbers(values, zeros=ends[0] <= 0 <= ends[1]))
        old = self._ends or ends
        self._ends = (min(old[0], ends[0]), max(old[1], ends[1]))

    def _some(self, sample: Numbers) -> Numbers:
        """Return the sample, or the ends where none of its rows holds a number."""
        return sample if len(sample) else np.array(self._ends)

    def _scaled(self, found: Counted | Binned, scale: float = 1) -> Scaled:
        low, high = self._ends or (0, 0)
        return Scaled(found=found, rows=self._plain.count, ends=(low * scale, high * scale))


class _Times(_Numbers):
    def profile(self, sample: pl.Series, points: int) -> ColumnProfile:
        scale = seconds_of(sample.dtype)
        if self._tally is not None:
            counted = self._tally.counted()
            described = with_values(self._plain, *repeated(counted.values, counted))
            found: Counted | Scaled = counted.times(scale)
            ends = counted.ends
        else:
            physical = self._some(sample.to_physical().to_numpy())
            few, ends = count_cheaply(physical), self._ends
            described = self._sampled(repeated(physical, few)[0], self._distinct, len(physical))
            found = self._scaled(ranked(physical * scale) if few is None else few.times(scale), scale)
        described = replace(described, sketch=sketch(found, points=points))
        if ends is None:
            return described
        return with_times(
            described, *(pl.Series([end]).cast(sample.to_physical().dtype).cast(sample.dtype) for end in ends)
        )

    def _numbers(self, present: pl.Series) -> Numbers:
        return present.to_physical().to_numpy()

    def _finite(self, numbers: Numbers) -> Numbers:
        return numbers

    def _add_many(self, numbers: Numbers) -> None:
        self._see(numbers, (numbers.min().item(), numbers.max().item()))

    def _add_powers(self, powers: Powers) -> None:
        """Times have no moments."""
