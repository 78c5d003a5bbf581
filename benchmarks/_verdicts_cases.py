"""Owns the ground truth: which defect strikes which columns of the shop, where, how badly, and which alarms name it.

Stated magnitudes are those that checks are held to; slight ones are measured and held to nothing. `names` are the
alarms that say what happened, not only that something did.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from quality.defects import DEFECTS

Place = Literal["ingest", "evaluation", "serving"]
"""Where a check should say so: over the raw partition, over judged predictions, over served features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One defect in the shop.

    Attributes:
        defect: Name in `DEFECTS`.
        columns: Columns that it strikes.
        names: Alarms that name it; any that begins so.
        slight: Magnitudes below what is stated.
        stated: Magnitudes at which it is to be found.
        at_rows: Smallest partition in which it is to be found.
        also: Columns that may be named instead: what is computed from the struck ones.
    """

    defect: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    slight: tuple[float, ...] = ()
    stated: tuple[float, ...]
    at_rows: int = 1_000
    also: tuple[str, ...] = ()

    @property
    def of_table(self) -> bool:
        """Whether whole rows are struck, so that no column needs to be named."""
        return not DEFECTS[self.defect].takes or self.defect in _OF_ROWS

    def named(self) -> Collection[str]:
        """Return the columns of which an alarm counts as naming the right one."""
        return {*self.columns, *self.also}


_OF_ROWS = frozenset(
    ("doubled_volume", "join_fan_out", "stale_partition", "seasonal_gap", "sampling_bias", "lost_category")
)

BETWEEN, UNIQUE = "suite values_to_be_between", "suite values_to_be_unique"
MOVED = ("drift ks", "drift tv")
CODES = ("contract allowed", "drift tv")


def _case(defect: str, columns: str, names: tuple[str, ...], **more: object) -> Case:
    return Case(defect=defect, columns=tuple(columns.split()), names=names, **more)  # pyright: ignore[reportArgumentType]


INGEST = (
    _case("unit_change", "weight_kg", MOVED, slight=(1.1,), stated=(1.61, 100)),
    _case("unit_change", "temperature", (*MOVED, BETWEEN), slight=(1.8,), stated=(9.0,)),
    _case("unit_mix", "weight_kg", ("more far", *MOVED), slight=(0.005,), stated=(0.05, 0.3)),
    _case("unit_mix", "unit_price", ("more far", "contract maximum", *MOVED), slight=(0.005,), stated=(0.05, 0.3)),
    _case("sign_flip", "session_s", ("more negative", BETWEEN), slight=(0.001,), stated=(0.05, 1.0)),
    _case("sign_flip", "total", ("contract minimum",), stated=(0.01, 1.0)),
    _case("decimal_comma", "session_s", ("more far", "more whole", *MOVED), slight=(0.01,), stated=(0.3, 1.0)),
    _case("mean_shift", "weight_kg", MOVED, slight=(0.1,), stated=(0.5, 1.0)),
    _case("mean_shift", "session_s", MOVED, slight=(0.1,), stated=(0.3,), at_rows=10_000),
    _case("variance_change", "weight_kg", MOVED, slight=(1.1,), stated=(3.0,)),
    _case("noise", "session_s", (*MOVED, "more negative"), slight=(0.02,), stated=(0.5, 2.0)),
    _case("rounding", "unit_price", ("more whole", "more tenths"), stated=(1.0, 0.0)),
    _case("clipped_outliers", "session_s", ("more largest",), slight=(0.003,), stated=(0.05, 0.3)),
    _case("float32_cast", "weight_kg", ("more float32",), slight=(0.004,), stated=(0.05, 1.0)),
    _case("float64_ids", "order_id", ("keys repeated within", UNIQUE), stated=(0.3, 1.0)),
    _case("overflow", "points", (*MOVED, "more negative"), slight=(11.0,), stated=(8.0,)),
    _case("stuck_sensor", "temperature", ("more repeated",), slight=(0.004,), stated=(0.05, 0.5)),
    _case("dead_column", "stock", ("more zero", "more repeated"), stated=(1.0,)),
    _case("dead_column", "rating", ("contract allowed", "more zero", "fewer missing"), stated=(1.0,)),
    _case("swapped_columns", "unit_price shipping", (*MOVED, "dependence"), slight=(0.05,), stated=(0.5, 1.0)),
    _case("swapped_columns", "country city", ("contract allowed",), stated=(0.01, 1.0)),
    _case("shuffled_column", "city", ("dependence",), slight=(0.1,), stated=(1.0,)),
    _case("shuffled_column", "unit_price", ("dependence",), slight=(0.1,), stated=(1.0,), also=("total",)),
    _case("lost_values", "weight_kg", ("contract null",), stated=(0.01, 0.3)),
    _case("lost_values", "shipping", ("more missing", "drift missing"), slight=(0.03,), stated=(0.3,)),
    _case("null_to_zero", "shipping", ("more zero", "fewer missing"), slight=(0.05,), stated=(0.5, 1.0)),
    _case("null_to_sentinel", "shipping", ("contract minimum",), stated=(0.1, 1.0)),
    _case("null_to_mean", "shipping", ("fewer missing", "drift missing"), slight=(0.1,), stated=(1.0,)),
    _case("nan_for_null", "shipping", ("more nan",), slight=(0.03,), stated=(0.5, 1.0)),
    _case("null_to_text", "note", ("more null_words",), slight=(0.01,), stated=(0.1, 1.0)),
    _case("null_to_empty", "note", ("more empty",), slight=(0.01,), stated=(0.1, 1.0)),
    _case("truncated_text", "note", ("more longest", "drift tv"), stated=(12.0, 8.0)),
    _case("truncated_text", "sku", ("contract pattern",), stated=(7.0, 4.0)),
    _case("case_change", "city", ("more capitals",), slight=(0.005,), stated=(0.05, 1.0)),
    _case("case_change", "country", ("contract allowed",), stated=(0.01,)),
    _case("whitespace", "city", ("more padded",), slight=(0.005,), stated=(0.05, 1.0)),
    _case("whitespace", "kind", ("contract allowed",), stated=(0.01,)),
    _case("mojibake", "city", ("more misread",), slight=(0.01,), stated=(0.1, 1.0)),
    _case("lost_leading_zeros", "postcode", ("contract pattern",), stated=(0.1, 1.0)),
    _case("category_rename", "city", MOVED, slight=(0.01,), stated=(0.15,)),
    _case("category_rename", "payment", CODES, stated=(0.1, 0.5)),
    _case("merged_categories", "payment", MOVED, slight=(0.005,), stated=(0.15, 0.25)),
    _case("encoding_swap", "status", MOVED, slight=(0.05,), stated=(0.3, 0.5)),
    _case("new_category", "kind", CODES, stated=(0.001, 0.1)),
    _case("lost_category", "channel", ("drift tv", "volume"), stated=(0.35, 0.5)),
    _case("code_out_of_range", "rating", CODES, stated=(0.001, 0.1)),
    _case("broken_key", "customer_id", ("references",), stated=(0.01, 0.3)),
    _case("time_zone_slip", "event_time", ("contract", "suite pair"), stated=(1.0, -5.0), also=("arrival_time",)),
    _case("time_zone_slip", "arrival_time", ("drift ks", "suite pair"), stated=(1.0, -1.0), also=("event_time",)),
    _case("future_times", "event_time", ("contract maximum", "suite pair"), stated=(0.001, 0.1)),
    _case("late_data", "arrival_time", ("drift ks",), slight=(0.01,), stated=(0.3, 0.5)),
    _case("truncated_times", "event_time", ("more whole_hours",), slight=(0.004,), stated=(0.05, 1.0)),
    _case("epoch_times", "event_time", ("contract minimum",), stated=(0.001, 0.1)),
    _case("epoch_unit", "event_time", ("contract minimum",), stated=(0.001, 1.0)),
    _case("day_month_swap", "event_time", ("contract",), stated=(0.01, 1.0)),
    _case("lost_rows", "", ("volume",), slight=(0.1,), stated=(0.5, 0.9)),
    _case("cut_off", "", ("volume", "freshness"), slight=(0.05,), stated=(0.3, 0.5)),
    _case("doubled_volume", "order_id", ("volume", "rows repeated"), stated=(0.1, 1.0)),
    _case("duplicate_keys", "", ("keys repeated within", UNIQUE), stated=(0.01, 0.3)),
    _case("join_fan_out", "payment", ("keys repeated within", UNIQUE), stated=(0.01, 0.3)),
    _case("duplicated_partition", "", ("keys repeated from", "rows repeated from"), stated=(0.01, 1.0)),
    _case("stale_partition", "event_time", ("keys repeated from", "rows repeated from"), stated=(0.05, 1.0)),
    _case("seasonal_gap", "event_time", ("drift tv", "volume"), slight=(1.0,), stated=(12.0,)),
    _case("sampling_bias", "unit_price", ("drift ks", "volume"), slight=(0.1,), stated=(0.5, 0.9)),
    _case("dropped_column", "discount", ("contract schema",), stated=(1.0,)),
    _case("new_column", "discount", ("contract schema",), stated=(1.0,), also=("discount_v2",)),
    _case("renamed_column", "discount", ("contract schema",), stated=(1.0,)),
    _case("type_change", "weight_kg", ("contract",), stated=(0.01, 1.0)),
    _case("label_leak", "session_s returned", ("leak", "dependence"), slight=(0.1,), stated=(0.5, 1.0)),
    _case("late_labels", "returned event_time", (*MOVED, "more repeated"), slight=(0.1,), stated=(1.0,)),
)  # fmt: skip

EVALUATION = (
    _case("shuffled_labels", "returned", ("gate limit",), slight=(0.1,), stated=(1.0,)),
    _case("flipped_labels", "returned", ("gate limit",), slight=(0.05,), stated=(0.3, 1.0)),
    _case("late_labels", "returned event_time", ("gate limit",), slight=(0.05,), stated=(0.5, 1.0)),
    _case("prediction_of_the_label", "prediction returned", ("gate limit",), slight=(0.02,), stated=(0.5, 0.9)),
    _case("stuck_sensor", "prediction", ("gate",), slight=(0.05,), stated=(0.5, 1.0)),
    _case("shuffled_column", "prediction", ("gate",), slight=(0.05,), stated=(0.5, 1.0)),
    _case("unit_change", "prediction", ("gate",), slight=(0.98,), stated=(0.3,)),
)

SERVING = (
    _case("default_fill", "shipping", ("skew",), slight=(0.002,), stated=(0.05, 0.3)),
    _case("null_to_zero", "shipping", ("skew",), stated=(0.1, 1.0)),
    _case("null_to_mean", "shipping", ("skew",), stated=(0.1, 1.0)),
    _case("float32_cast", "log_price", ("skew",), stated=(0.3, 1.0)),
    _case("rounding", "log_price", ("skew",), stated=(2.0, 1.0)),
    _case("unit_change", "weight_kg", ("skew",), stated=(1.1, 1_000)),
    _case("sign_flip", "log_price", ("skew",), stated=(0.05, 1.0)),
    _case("off_by_one", "price_trend event_time", ("skew",), stated=(0.1, 1.0)),
    _case("mean_shift", "hour", ("skew",), stated=(0.2, 1.0)),
    _case("encoding_swap", "kind_code", ("skew",), stated=(0.05, 0.3)),
    _case("mojibake", "city", ("skew",), stated=(0.1, 1.0)),
    _case("case_change", "city", ("skew",), stated=(0.05, 1.0)),
    _case("truncated_text", "city", ("skew",), stated=(4.0,)),
    _case("lost_values", "weight_kg", ("skew",), stated=(0.05, 0.3)),
    _case("shuffled_column", "quantity", ("skew",), stated=(0.1, 1.0)),
)

CASES: tuple[tuple[Place, tuple[Case, ...]], ...] = (
    ("ingest", INGEST),
    ("evaluation", EVALUATION),
    ("serving", SERVING),
)
"""Place to its cases."""
