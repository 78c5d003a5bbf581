"""Great Expectations' own pandas engine, as the oracle of the compiled suites."""

import math
import os
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from quality.suites.plain import plain

SPECIAL_FLOATS = [0.0, -0.0, 1.0, 1.5, -2.5, 1e-300, 1e150, float("inf"), float("-inf"), float("nan"), 0.1, 3.0]
WORDS = ["", "a", "b", "ab", "Ä", "日本", "a\n", "x1", "12", " ", "ab\n\n", "e\u0301", "😀"]
_AT_ONCE = 25
START = datetime(2020, 3, 28, 23, 30)


def oracle(entries, frame, result_format="SUMMARY"):
    """Return the library's (success, result) of each expectation, or the message of what it raised."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
        batch = asset.add_batch_definition_whole_dataframe("w").get_batch({"dataframe": frame.to_arrow().to_pandas()})
        found = {}
        for start in range(0, len(entries), _AT_ONCE):  # the library takes longer than linearly for a suite
            some = entries[start : start + _AT_ONCE]
            numbered = [{**entry, "id": str(start + place)} for place, entry in enumerate(some)]
            suite = gx.ExpectationSuite("s", expectations=numbered)
            found |= {
                int(item.expectation_config.id): _told(item)
                for item in batch.validate(suite, result_format=result_format).results
            }
    return [found[place] for place in range(len(entries))]


def _told(item):
    info = item.exception_info or {}
    parts = [info] if "raised_exception" in info else info.values()
    raised = [part["exception_message"] for part in parts if part["raised_exception"]]
    return str(raised[0]) if raised else (bool(item.success), plain(item.result or {}))


def alike(ours, theirs, tolerance):
    """Return whether two values are equal, but for the rounding of sums."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key], tolerance) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(lambda a, b: alike(a, b, tolerance), ours, theirs))
    if type(ours) in (int, float) and type(theirs) in (int, float):
        return ours == theirs or math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=0)
    return type(ours) is type(theirs) and ours == theirs


def unordered(result):
    """Return a result without the order of values that a Python set gave."""
    return {key: sorted(value, key=str) if key == "partial_missing_list" else value for key, value in result.items()}


def nanoseconds(moment):
    """Return a moment without a zone as nanoseconds since 1970."""
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000


def frame_of(rows):
    """Return a frame of a column for each kind of values; `rows` are of (whole number, float, word, bits of nulls)."""
    count = len(rows)
    null = [[bool(bits >> place & 1) for _, _, _, bits in rows] for place in range(8)]

    def some(values, place):
        return [None if gone else value for value, gone in zip(values, null[place], strict=True)]

    ints, floats, words = ([row[part] for row in rows] for part in range(3))
    times = [START + timedelta(minutes=17 * number, microseconds=number % 3) for number in ints]
    return pl.DataFrame(
        {
            "i": pl.Series(ints, dtype=pl.Int64),
            "j": pl.Series(some(ints, 0), dtype=pl.Int64),
            "k": pl.Series([number % 100 for number in ints], dtype=pl.Int8),
            "u": pl.Series([abs(number) for number in ints], dtype=pl.UInt16),
            "big": pl.Series([number * 2**55 for number in ints], dtype=pl.Int64),
            "f": pl.Series(some(floats, 1), dtype=pl.Float64),
            "g": pl.Series([float(number) for number in ints], dtype=pl.Float64),
            "h": pl.Series(some(floats, 2), dtype=pl.Float32),
            "s": pl.Series(some(words, 3), dtype=pl.String),
            "w": pl.Series(words, dtype=pl.String),
            "b": pl.Series([number % 2 == 0 for number in ints], dtype=pl.Boolean),
            "c": pl.Series(some([number % 2 == 0 for number in ints], 4), dtype=pl.Boolean),
            "t": pl.Series(some(times, 5), dtype=pl.Datetime("us")),
            "z": pl.Series(times, dtype=pl.Datetime("us"))
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Europe/Berlin"),
            "n": pl.Series([None if at is None else nanoseconds(at) + 7 for at in some(times, 6)], dtype=pl.Int64).cast(
                pl.Datetime("ns")
            ),
            "m": pl.Series(times, dtype=pl.Datetime("ms")),
            "d": pl.Series(some([date(2020, 1, 1) + timedelta(days=number) for number in ints], 7), dtype=pl.Date),
            "e": pl.Series(some([Decimal(number) / 4 for number in ints], 6), dtype=pl.Decimal(12, 2)),
            "void": pl.Series([None] * count, dtype=pl.Int64),
            "nothing": pl.Series([None] * count, dtype=pl.Null),
        }
    )


_ANY = [*"ijkufghswbctznmde", "big", "void", "nothing"]
_NUMBERS = [*"ijkufgh", "big", "void"]


def expectations(number, mostly, low, high, strict):
    """Yield expectations of every compiled type, for all kinds of columns."""
    for column in _ANY:
        one = {"column": column}
        yield "column_values_to_not_be_null", {**one, "mostly": mostly}
        yield "column_values_to_be_null", {**one, "mostly": mostly}
        yield "column_values_to_be_unique", one
        yield "column_unique_value_count_to_be_between", {**one, "min_value": 0, "max_value": number}
        yield "column_proportion_of_unique_values_to_be_between", {**one, "min_value": mostly, "strict_min": strict}
        yield "column_proportion_of_non_null_values_to_be_between", {**one, "min_value": mostly}
        yield "column_max_to_be_between", one
        yield "column_min_to_be_between", one
        yield "column_values_to_be_increasing", {**one, "strictly": strict}
        yield "column_values_to_be_decreasing", {**one, "strictly": strict}
        yield "column_most_common_value_to_be_in_set", {**one, "value_set": [1, 2, "a"], "ties_okay": strict}
        yield "column_values_to_be_in_set", {**one, "value_set": [low, high, 0]}
        yield "column_values_to_not_be_in_set", {**one, "value_set": [low, high, 0]}
        yield "column_values_to_be_in_set", {**one, "value_set": ["a", "Ä", ""]}
        yield "column_values_to_be_in_set", {**one, "value_set": []}
        yield "column_distinct_values_to_be_in_set", {**one, "value_set": [low, high, 1, "a"]}
        yield "column_distinct_values_to_contain_set", {**one, "value_set": [low, high, 1, "a"]}
        yield "column_distinct_values_to_equal_set", {**one, "value_set": [1]}
        yield "column_values_to_match_regex", {**one, "regex": r"^\w+$", "mostly": mostly}
        yield "column_values_to_not_match_regex", {**one, "regex": r"[ab]\s?\d*"}
        yield "column_values_to_match_regex_list", {**one, "regex_list": ["a", r"\d"], "match_on": "all"}
        yield "column_values_to_not_match_regex_list", {**one, "regex_list": ["^a", r"\d{2}"]}
        yield "column_value_lengths_to_equal", {**one, "value": 1}
        yield "column_value_lengths_to_be_between", {**one, "min_value": 1, "max_value": 2, "strict_max": strict}
        yield "column_values_to_be_between", {**one, "min_value": min(low, high), "max_value": max(low, high)}
        yield "column_values_to_be_between", {**one, "max_value": high, "strict_max": strict, "mostly": mostly}
        for kind in ("int64", "str", "float", "bool", "object", "datetime64"):
            yield "column_values_to_be_of_type", {**one, "type_": kind}
        for kind in ("int64", "str", "string", "float32", "datetime64[us]", "datetime64", "object"):
            yield "column_type_to_be", {**one, "type_": kind}
        yield "column_values_to_be_in_type_list", {**one, "type_list": ["int64", "str", "int"]}
    for column in _NUMBERS:
        one = {"column": column}
        limits = {"min_value": min(low, high), "max_value": max(low, high), "strict_min": strict}
        for name in ("max", "min", "mean", "median", "stdev", "sum"):
            yield f"column_{name}_to_be_between", {**one, **limits}
        for how in (False, "linear", "lower", "higher", "midpoint"):
            ranges = {"quantiles": [0, 0.1, 0.5, 0.75, 1], "value_ranges": [[low, None], [None, high], *[[0, 1]] * 3]}
            yield (
                "column_quantile_values_to_be_between",
                {**one, "quantile_ranges": ranges, "allow_relative_error": how},
            )
        yield "column_value_z_scores_to_be_less_than", {**one, "threshold": 0.7, "double_sided": strict}
        for method in ("iqr", "std"):
            yield "column_values_to_not_be_outliers", {**one, "method": method, "multiplier": 0.4}
    for column, low_end in (("t", START), ("z", START.replace(tzinfo=UTC)), ("d", date(2020, 1, 2)), ("m", START)):
        limit = {"column": column, "min_value": low_end, "strict_min": strict}
        yield "column_values_to_be_between", limit
        yield "column_min_to_be_between", limit
    yield "column_values_to_be_between", {"column": "t", "min_value": "2020-03-28T23:40:00"}
    yield "column_values_to_be_between", {"column": "d", "max_value": "2020-01-02"}
    yield from _several(number, mostly, low, strict)
    yield from _conditions(low)
    yield "table_row_count_to_equal", {"value": number}
    yield "table_row_count_to_be_between", {"min_value": 0, "max_value": number, "strict_max": strict}
    yield "table_column_count_to_equal", {"value": 20}
    yield "table_column_count_to_be_between", {"min_value": number}
    yield "table_columns_to_match_ordered_list", {"column_list": ["i", "k", "j"]}
    yield "table_columns_to_match_set", {"column_set": ["i", "lost"], "exact_match": strict}
    yield "table_columns_to_match_set", {"column_set": ["i", "j"], "exact_match": strict}
    yield "column_to_exist", {"column": "j", "column_index": number}
    yield "column_to_exist", {"column": "lost"}


def _several(number, mostly, low, strict):
    for first, second in ("ij", "ik", "if", "fg", "hf", "sw", "bc", "tm", "tz", "zz", "td", "is", "iu", ("big", "f")):
        both = {"column_A": first, "column_B": second}
        for ignored in ("neither", "both_values_are_missing", "either_value_is_missing"):
            yield "column_pair_values_to_be_equal", {**both, "ignore_row_if": ignored, "mostly": mostly}
            yield "column_pair_values_a_to_be_greater_than_b", {**both, "ignore_row_if": ignored, "or_equal": strict}
        numbers, texts = [[1, 1], [low, None], [0, 0]], [["a", "a"], ["b", None]]
        for pairs in (numbers, texts, numbers + texts):
            yield "column_pair_values_to_be_in_set", {**both, "value_pairs_set": pairs, "mostly": mostly}
    for names in (
        ["i", "j"],
        ["i", "k", "g"],
        ["f", "g"],
        ["s", "w"],
        ["b", "c"],
        ["t", "d"],
        ["i", "s", "b"],
        ["h", "f"],
        ["big", "i"],
        ["d", "e"],
    ):
        for ignored in ("never", "any_value_is_missing", "all_values_are_missing"):
            several = {"column_list": names, "ignore_row_if": ignored}
            yield "compound_columns_to_be_unique", several
            yield "multicolumn_values_to_be_equal", several
            yield "select_column_values_to_be_unique_within_record", several
            yield "multicolumn_sum_to_equal", {**several, "sum_total": number}


def _conditions(low):
    texts = [
        "i > 1", f"f <= {low} and s != 'a'", "s == 'a' | b", "not (j >= 1)", "~(f < 1)", "`w` in ['a', 'b']",
        "i not in [1, 2]", "s.isnull()", "0 < i <= 3", "i == g", "j != 1", "t > '2020-01-01'", "i + 1 > 2",
    ]  # fmt: skip
    for text in texts:
        where = {"row_condition": text, "condition_parser": "pandas"}
        yield "table_row_count_to_be_between", {**where, "min_value": 2}
        yield "column_values_to_be_between", {**where, "column": "f", "min_value": low}
        yield "column_values_to_be_unique", {**where, "column": "s"}
        yield "column_mean_to_be_between", {**where, "column": "g", "min_value": low}
        yield "column_values_to_be_increasing", {**where, "column": "i"}
    compare = {"type": "comparison", "column": {"name": "i"}, "operator": ">", "parameter": 1}
    empty = {"type": "nullity", "column": {"name": "s"}, "is_null": False}
    within = {"type": "comparison", "column": {"name": "w"}, "operator": "IN", "parameter": ["a", "b"]}
    for condition in (
        compare,
        empty,
        within,
        {"type": "or", "conditions": [compare, within]},
        {"type": "and", "conditions": [compare, empty]},
    ):
        yield "column_values_to_not_be_null", {"column": "f", "row_condition": condition}
        yield "column_pair_values_to_be_equal", {"column_A": "i", "column_B": "j", "row_condition": condition}
        yield "compound_columns_to_be_unique", {"column_list": ["s", "b"], "row_condition": condition}
