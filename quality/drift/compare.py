"""Owns the drift test: which columns of a batch are distributed otherwise than in a reference.

A column is flagged only with two keys: its difference is significant under a false discovery rate over all columns, and
the lower confidence bound of its size exceeds the declared tolerance. Significance alone flags irrelevant shifts of
large batches; size alone flags noise of small ones. Where the past is known there is a third key: the difference is
larger than healthy partitions lead to expect. It keeps no history and decides no verdict.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl

from quality.bootstrap import Clusters, cluster_codes
from quality.drift.columns import Rule, Side, column_tests
from quality.drift.past import MIN_PAIRS, Past
from quality.drift.results import ColumnDrift
from quality.profile import Profile, merge, profile
from quality.profiles.columns import kind_of, type_of
from quality.readable import require_plain
from resources.errors import ContractError, DeclarationError
from resources.names import unknown_name

FALSE_DISCOVERY_RATE = 0.005
"""Half of the 1 % of clean batches that may be flagged: at 1 % itself, every other measurement would exceed it."""
POINTS = 4_096
"""Cut points of the sketches that rows are compared by: up to so many distinct values the ranks are exact."""


def drift(
    reference: pl.DataFrame | Profile,
    current: pl.DataFrame | Profile,
    *,
    columns: Sequence[str] | None = None,
    categorical: Collection[str] = (),
    tolerance: float = 0.1,
    q: float = FALSE_DISCOVERY_RATE,
    confidence: float = 0.95,
    clusters: tuple[Clusters, Clusters] | None = None,
    past: Past | None = None,
) -> tuple[ColumnDrift, ...]:
    """Compare each column of `current` with `reference`; without rows on both sides there is nothing to compare.

    Numbers and times by the Kolmogorov-Smirnov test, the others by the chi-square test of homogeneity with the total
    variation distance as its effect; texts too many to be categories by their lengths as well; missing values by a test
    of their own where there are any; a column of one value that had several before, of another type, or that is gone
    is told as such. From profiles the bounds allow for what their sketches may misstate.

    Args:
        reference: Rows that the model knows, or their profile.
        current: New rows, or their profile.
        columns: Columns to compare; None takes all of the reference but times, which move with every batch.
        categorical: Numeric columns that hold codes of categories.
        tolerance: Largest tolerated effect, from 0 to 1.
        q: False discovery rate over all tests.
        confidence: One-sided confidence of the lower bounds, two-sided confidence of the statistics' intervals.
        clusters: Cluster of each row of the reference and of the batch, such as its day, where rows of a cluster
            are alike; None takes rows as independent. Only for rows.
        past: What healthy partitions of the past differed by.

    Raises:
        DeclarationError: If a column is missing or of a type that is not compared, or a number is out of range.
        ContractError: If the clusters have another length than the rows, a profile is too old to compare, or the name
            of a column is a pattern.
    """
    _check_numbers(tolerance, q, confidence)
    for what, side in (("reference", reference), ("batch", current)):
        require_plain(what, {} if isinstance(side, Profile) else side.schema, objects=True)
    names = _columns(_kinds(reference), _kinds(current), columns)
    if _rows(reference) == 0 or _rows(current) == 0:
        return ()
    rule = Rule(tolerance=tolerance, confidence=confidence, categorical=frozenset(categorical))
    sides = (_side(reference, names, clusters and clusters[0]), _side(current, names, clusters and clusters[1]))
    found = [test for name in names for test in column_tests(name, sides[0], sides[1], rule)]
    adjusted = benjamini_hochberg([test.p for test in found])
    return tuple(_judged(test, value, q, past, len(found)) for test, value in zip(found, adjusted, strict=True))


def past_effects(
    profiles: Sequence[Profile],
    window: int,
    *,
    columns: Sequence[str] | None = None,
    categorical: Collection[str] = (),
    alpha: float = 0.01,
    reference: Profile | None = None,
    taught: Sequence[bool] | None = None,
    shorter: bool = False,
) -> Past:
    """Return how far each of these partitions lay from the `window` partitions before it, or from a reference.

    Args:
        profiles: Profiles of past partitions, oldest first, of one schema; those that differ from the newest in the
            type of a column say nothing of that column.
        window: Partitions of the reference.
        columns: As for `drift`.
        categorical: As for `drift`.
        alpha: Probability at which a healthy batch may pass any threshold.
        reference: What each is compared with; None takes the window before it.
        taught: Which of them tell what is usual; None takes all for healthy. The others are in windows all the same.
        shorter: Whether partitions with a shorter window before them count too while the others give fewer than
            `MIN_PAIRS` pairs. They lie further from it, by chance alone, so that what is usual is not taken for less.
    """
    pairs = []
    for place, current in enumerate(profiles):
        before = profiles[max(0, place - window) : place] if reference is None else [reference]
        alike = reference is not None or all(part.types == current.types for part in before)
        if before and alike and (taught is None or taught[place]):
            pairs.append((before, current))
    whole = [pair for pair in pairs if reference is not None or len(pair[0]) == window]
    chosen = pairs if shorter and len(whole) < MIN_PAIRS else whole
    found = [
        {
            (test.column, test.test): test.effect
            for test in drift(merge(before), one, columns=columns, categorical=categorical)
        }
        for before, one in chosen
    ]
    # A test that a pair of the column lacks, such as "missing" where nothing is, found no effect.
    keys = {key for one in found for key in one}
    compared = [{column for column, _ in one} for one in found]
    effects = {
        key: [one.get(key, 0.0) for one, columns_of in zip(found, compared, strict=True) if key[0] in columns_of]
        for key in sorted(keys)
    }
    return Past(effects=effects, alpha=alpha)


def benjamini_hochberg(probabilities: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the false discovery rate (Benjamini and Hochberg, 1995), in the order given.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    count, running = len(probabilities), 1.0
    adjusted = [1.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: -probabilities[i])):
        running = min(running, probabilities[index] * count / (count - rank))
        adjusted[index] = running
    return adjusted


def _judged(test: ColumnDrift, adjusted: float, q: float, past: Past | None, tests: int) -> ColumnDrift:
    expected = None if past is None else past.threshold(test.column, test.test, tests=tests)
    sure = adjusted <= q and test.low > test.tolerance
    return replace(
        test,
        q=adjusted,
        threshold=expected,
        flagged=sure and (expected is None or test.effect > expected),
    )


def _check_numbers(tolerance: float, q: float, confidence: float) -> None:
    for name, value in (("tolerance", tolerance), ("q", q), ("confidence", confidence)):
        if not 0 <= value < 1 or (value == 0 and name != "tolerance"):
            raise DeclarationError(f"drift: {name} is {value}, it lies between 0 and 1")


def _kinds(side: pl.DataFrame | Profile) -> dict[str, tuple[str, str]]:
    """Return column to its type and kind."""
    if isinstance(side, Profile):
        return {name: (column.type, column.kind) for name, column in side.columns.items()}
    return {name: (type_of(dtype), kind_of(dtype)) for name, dtype in side.schema.items()}


def _rows(side: pl.DataFrame | Profile) -> int:
    return side.rows if isinstance(side, Profile) else side.height


def _columns(
    reference: dict[str, tuple[str, str]], current: dict[str, tuple[str, str]], columns: Sequence[str] | None
) -> list[str]:
    able = [name for name, (_, kind) in reference.items() if kind != "other"]
    if columns is None:
        return [name for name in able if reference[name][1] != "time"]
    for name in columns:
        if name not in able or name not in current:
            kind = f" of type {reference[name][0]}" if name in reference and name in current else ""
            raise DeclarationError(unknown_name(f"drift column{kind}", name, [one for one in able if one in current]))
    return list(columns)


def _side(given: pl.DataFrame | Profile, names: Sequence[str], clusters: Clusters | None) -> Side:
    if isinstance(given, Profile):
        if clusters is not None:
            raise ContractError("drift: clusters are given for a profile, which has no rows: give the rows themselves")
        return Side(profile=given)
    kept = given.select([name for name in names if name in given.columns])
    described = profile(kept, points=POINTS)
    if clusters is None:
        return Side(profile=described)
    return Side(profile=described, rows=kept, codes=cluster_codes(clusters, given.height))
