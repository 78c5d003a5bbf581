"""Owns which expectations are compiled, and the rounds in which a suite's needs are met.

All expectations ask for what they need first, which is one query; those that failed then ask for examples, which is
the second. Whatever cannot be judged exactly as the pandas engine would is left to it, with the reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from quality.suites import aggregates, rows, sets, several, tables
from quality.suites.arguments import arguments
from quality.suites.engine import answer
from quality.suites.format import Format
from quality.suites.needs import Answers, Judged, Need, Outcome, Scalar, Unsettled
from quality.suites.request import Request
from quality.suites.source import Source

COMPILED: Mapping[str, Callable[[Request], Judged]] = {
    "expect_column_distinct_values_to_be_in_set": partial(sets.distinct_values, none_else=True, all_of=False),
    "expect_column_distinct_values_to_contain_set": partial(sets.distinct_values, none_else=False, all_of=True),
    "expect_column_distinct_values_to_equal_set": partial(sets.distinct_values, none_else=True, all_of=True),
    "expect_column_max_to_be_between": partial(aggregates.extreme, greatest=True),
    "expect_column_mean_to_be_between": aggregates.mean,
    "expect_column_median_to_be_between": aggregates.median,
    "expect_column_min_to_be_between": partial(aggregates.extreme, greatest=False),
    "expect_column_most_common_value_to_be_in_set": aggregates.most_common,
    "expect_column_pair_values_a_to_be_greater_than_b": several.pair_greater,
    "expect_column_pair_values_to_be_equal": several.pair_equal,
    "expect_column_pair_values_to_be_in_set": several.pair_in_set,
    "expect_column_proportion_of_non_null_values_to_be_between": aggregates.present_share,
    "expect_column_proportion_of_unique_values_to_be_between": aggregates.distinct_share,
    "expect_column_quantile_values_to_be_between": aggregates.quantiles,
    "expect_column_stdev_to_be_between": aggregates.deviation,
    "expect_column_sum_to_be_between": aggregates.total,
    "expect_column_to_exist": tables.column_exists,
    "expect_column_type_to_be": tables.column_type,
    "expect_column_unique_value_count_to_be_between": aggregates.distinct_count,
    "expect_column_value_lengths_to_be_between": rows.lengths,
    "expect_column_value_lengths_to_equal": rows.lengths,
    "expect_column_value_z_scores_to_be_less_than": rows.z_scores,
    "expect_column_values_to_be_between": rows.between,
    "expect_column_values_to_be_decreasing": partial(rows.monotone, increasing=False),
    "expect_column_values_to_be_in_set": partial(rows.in_set, wanted=True),
    "expect_column_values_to_be_in_type_list": tables.values_of_type,
    "expect_column_values_to_be_increasing": partial(rows.monotone, increasing=True),
    "expect_column_values_to_be_null": partial(rows.null, wanted=True),
    "expect_column_values_to_be_of_type": tables.values_of_type,
    "expect_column_values_to_be_unique": rows.unique,
    "expect_column_values_to_match_regex": partial(rows.regex, wanted=True),
    "expect_column_values_to_match_regex_list": partial(rows.regex_list, wanted=True),
    "expect_column_values_to_not_be_in_set": partial(rows.in_set, wanted=False),
    "expect_column_values_to_not_be_null": partial(rows.null, wanted=False),
    "expect_column_values_to_not_be_outliers": rows.outliers,
    "expect_column_values_to_not_match_regex": partial(rows.regex, wanted=False),
    "expect_column_values_to_not_match_regex_list": partial(rows.regex_list, wanted=False),
    "expect_compound_columns_to_be_unique": several.unique_together,
    "expect_multicolumn_sum_to_equal": several.sum_equal,
    "expect_multicolumn_values_to_be_equal": several.equal_together,
    "expect_select_column_values_to_be_unique_within_record": several.unique_within,
    "expect_table_column_count_to_be_between": tables.column_count,
    "expect_table_column_count_to_equal": tables.column_count,
    "expect_table_columns_to_match_ordered_list": tables.ordered_columns,
    "expect_table_columns_to_match_set": tables.column_set,
    "expect_table_row_count_to_be_between": tables.row_count,
    "expect_table_row_count_to_equal": tables.row_count,
}
"""Type of an expectation to what judges it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What compiling a suite came to.

    Attributes:
        outcomes: Place in the suite to the outcome of the expectation there.
        unsettled: Place to the reason why the pandas engine has to judge it.
        without_reading: How many outcomes needed no row, only what is known of the source.
    """

    outcomes: Mapping[int, Outcome]
    unsettled: Mapping[int, str]
    without_reading: int


Answering = Callable[[Source, Iterable[Need]], Mapping[Need, Any]]
"""Returns the value of each need; `quality.suites.engine.answer` reads the rows for it."""


def evaluate(
    source: Source, entries: Sequence[Mapping[str, Any]], format_: Format, *, answering: Answering = answer
) -> Evaluation:
    """Judge the expectations that can be compiled."""
    outcomes: dict[int, Outcome] = {}
    unsettled: dict[int, str] = {}
    reading: set[int] = set()
    waiting: dict[int, tuple[Judged, Sequence[Need]]] = {}

    def advance(place: int, judged: Judged, answers: Answers | None) -> None:
        try:
            waiting[place] = judged, judged.send(answers)  # pyright: ignore[reportArgumentType]
        except StopIteration as done:
            outcomes[place] = done.value
        except Unsettled as reason:
            unsettled[place] = str(reason)

    for place, entry in enumerate(entries):
        try:
            judged = _judged(source, entry, format_)
        except Unsettled as reason:
            unsettled[place] = str(reason)
        else:
            advance(place, judged, None)
    while waiting:
        now, waiting = waiting, {}
        reading |= {place for place, (_, needs) in now.items() if any(_reads(need) for need in needs)}
        asked = {place: needs for place, (_, needs) in now.items()}
        for place, answers in _answered(source, asked, answering).items():
            if isinstance(answers, pl.exceptions.PolarsError):
                unsettled[place] = f"a query that Polars refuses ({str(answers).splitlines()[0]})"
            else:
                advance(place, now[place][0], answers)
    return Evaluation(outcomes=outcomes, unsettled=unsettled, without_reading=len(outcomes.keys() - reading))


def first_needs(source: Source, entries: Sequence[Mapping[str, Any]], format_: Format) -> list[Need]:
    """Return what the expectations that can be compiled ask for first."""
    found: list[Need] = []
    for entry in entries:
        try:
            found += next(_judged(source, entry, format_))
        except (Unsettled, StopIteration):
            continue
    return found


def _answered(
    source: Source, asked: Mapping[int, Sequence[Need]], answering: Answering
) -> Mapping[int, Answers | pl.exceptions.PolarsError]:
    """Return what each expectation asked for, or the error that its own query raises, which is found by halving."""
    try:
        answers = answering(source, [need for needs in asked.values() for need in needs])
        return dict.fromkeys(asked, answers)
    except pl.exceptions.PolarsError as error:
        if len(asked) == 1:
            return dict.fromkeys(asked, error)
    places, middle = list(asked), len(asked) // 2
    halves = [{place: asked[place] for place in some} for some in (places[:middle], places[middle:])]
    return {place: found for half in halves for place, found in _answered(source, half, answering).items()}


def _judged(source: Source, entry: Mapping[str, Any], format_: Format) -> Judged:
    kind = entry["type"]
    if kind not in COMPILED:
        raise Unsettled("a type that is not compiled")
    if not format_.plain:
        raise Unsettled("a result format that asks for more")
    kwargs = entry.get("kwargs", {})
    if any(kwargs.get(name) is None for name in arguments(kind)[0]):
        raise Unsettled("an argument that is required and null")
    return COMPILED[kind](Request.of(source, format_, kwargs))


def _reads(need: Need) -> bool:
    return not isinstance(need, Scalar) or need.known is None
