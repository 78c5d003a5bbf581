"""Owns the table of defects, name to what it is and how it is planted."""

from collections.abc import Callable

import polars as pl

from quality.defects import labels, missing, numbers, rows, schema, texts, times
from quality.defects.spec import Defect, Meaning, Planting, Takes

Plant = Callable[[Planting], pl.DataFrame]
_SHARES = (0.01, 0.05, 0.3)
_ONE = (1.0,)

_ROWS: tuple[tuple[Plant, tuple[Takes, ...], Meaning, tuple[float, ...]], ...] = (
    (numbers.unit_change, ("number",), "factor", (1.1, 1.61, 100.0)),
    (numbers.unit_mix, ("number",), "share", _SHARES),
    (numbers.sign_flip, ("number",), "share", (0.01, 0.3, 1.0)),
    (numbers.decimal_comma, ("float",), "share", (0.01, 0.3, 1.0)),
    (numbers.mean_shift, ("number",), "deviations", (0.1, 0.3, 1.0)),
    (numbers.variance_change, ("number",), "factor", (1.1, 1.5, 3.0)),
    (numbers.noise, ("number",), "deviations", (0.1, 0.5, 2.0)),
    (numbers.rounding, ("float",), "count", (1.0, 0.0)),
    (numbers.clipped_outliers, ("number",), "share", _SHARES),
    (numbers.float32_cast, ("float",), "share", (0.05, 0.3, 1.0)),
    (numbers.float64_ids, ("integer",), "share", (0.05, 0.3, 1.0)),
    (numbers.overflow, ("integer",), "count", (16.0, 8.0)),
    (numbers.stuck_sensor, ("number",), "share", (0.05, 0.3, 1.0)),
    (numbers.dead_column, ("number",), "fixed", _ONE),
    (numbers.swapped_columns, ("any", "any"), "share", (0.05, 0.3, 1.0)),
    (numbers.shuffled_column, ("any",), "share", (0.1, 0.5, 1.0)),
    (missing.lost_values, ("any",), "share", _SHARES),
    (missing.null_to_zero, ("number",), "share", (0.1, 0.5, 1.0)),
    (missing.null_to_sentinel, ("number",), "share", (0.1, 0.5, 1.0)),
    (missing.null_to_mean, ("number",), "share", (0.1, 0.5, 1.0)),
    (missing.nan_for_null, ("float",), "share", (0.1, 0.5, 1.0)),
    (missing.null_to_text, ("text",), "share", (0.1, 0.5, 1.0)),
    (missing.null_to_empty, ("text",), "share", (0.1, 0.5, 1.0)),
    (missing.default_fill, ("number",), "share", _SHARES),
    (texts.truncated_text, ("text",), "count", (12.0, 8.0, 4.0)),
    (texts.case_change, ("text",), "share", _SHARES),
    (texts.whitespace, ("text",), "share", _SHARES),
    (texts.mojibake, ("text",), "share", (0.1, 0.5, 1.0)),
    (texts.lost_leading_zeros, ("text",), "share", (0.1, 0.5, 1.0)),
    (texts.category_rename, ("code",), "share", _SHARES),
    (texts.merged_categories, ("code",), "share", _SHARES),
    (texts.encoding_swap, ("code",), "share", _SHARES),
    (texts.new_category, ("code",), "share", (0.001, 0.01, 0.1)),
    (texts.lost_category, ("code",), "share", _SHARES),
    (texts.code_out_of_range, ("integer",), "share", (0.001, 0.01, 0.1)),
    (texts.broken_key, ("code",), "share", _SHARES),
    (times.time_zone_slip, ("time",), "hours", (1.0, 5.0)),
    (times.future_times, ("time",), "share", (0.001, 0.01, 0.1)),
    (times.late_data, ("time",), "share", (0.01, 0.1, 0.5)),
    (times.truncated_times, ("time",), "share", (0.01, 0.3, 1.0)),
    (times.epoch_times, ("time",), "share", (0.001, 0.01, 0.1)),
    (times.epoch_unit, ("time",), "share", (0.001, 0.01, 1.0)),
    (times.day_month_swap, ("time",), "share", (0.001, 0.01, 1.0)),
    (rows.lost_rows, (), "share", (0.1, 0.5, 0.9)),
    (rows.cut_off, (), "share", (0.05, 0.3, 0.5)),
    (rows.doubled_volume, ("code",), "share", (0.1, 0.5, 1.0)),
    (rows.duplicate_keys, (), "share", _SHARES),
    (rows.join_fan_out, ("any",), "share", _SHARES),
    (rows.duplicated_partition, (), "share", (0.01, 0.3, 1.0)),
    (rows.stale_partition, ("time",), "share", (0.05, 0.5, 1.0)),
    (rows.seasonal_gap, ("time",), "hours", (1.0, 3.0, 12.0)),
    (rows.sampling_bias, ("number",), "share", (0.1, 0.5, 0.9)),
    (rows.off_by_one, ("any", "time"), "share", (0.01, 0.1, 1.0)),
    (labels.label_leak, ("number", "label"), "share", (0.5, 0.9, 1.0)),
    (labels.shuffled_labels, ("label",), "share", (0.3, 1.0)),
    (labels.flipped_labels, ("label",), "share", (0.1, 0.3, 1.0)),
    (labels.late_labels, ("label", "time"), "share", (0.1, 0.3, 1.0)),
    (labels.prediction_of_the_label, ("float", "label"), "share", (0.1, 0.5, 0.9)),
    (schema.dropped_column, ("any",), "fixed", _ONE),
    (schema.new_column, ("any",), "fixed", _ONE),
    (schema.renamed_column, ("any",), "fixed", _ONE),
    (schema.type_change, ("number",), "share", (0.01, 1.0)),
)
_OF_THE_PAST = (rows.duplicated_partition, rows.stale_partition)


def _defect(plant: Plant, takes: tuple[Takes, ...], meaning: Meaning, magnitudes: tuple[float, ...]) -> Defect:
    return Defect(
        name=plant.__name__,
        what=(plant.__doc__ or "").splitlines()[0],
        takes=takes,
        meaning=meaning,
        magnitudes=magnitudes,
        needs_past=plant in _OF_THE_PAST,
        plant=plant,
    )


DEFECTS: dict[str, Defect] = {row[0].__name__: _defect(*row) for row in _ROWS}
"""Name to defect."""
