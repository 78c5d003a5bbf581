"""Planted defects: each changes what it says and nothing else."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quality.defects import DEFECTS, plant
from resources.errors import DeclarationError

PAGE = Path(__file__).parents[2] / "docs" / "quality_verdicts.md"
COLUMN_OF = {
    "number": "amount",
    "float": "amount",
    "integer": "id",
    "text": "city",
    "code": "city",
    "time": "at",
    "label": "label",
    "any": "amount",
}
SECOND = {"any": "other", "label": "label", "time": "at"}


def partition(day=1, rows=240, seed=0):
    rng = np.random.default_rng([seed, day])
    start = datetime(2024, 3, day, tzinfo=UTC)
    minutes = np.sort(rng.integers(0, 1440, rows)).tolist()
    amount = pl.Series(rng.lognormal(3, 1, rows)).round(2)
    return pl.DataFrame(
        {
            "id": pl.Series(2**60 + day * 10_000 + 3 * np.arange(rows)),
            "at": [start + timedelta(minutes=m) for m in minutes],
            "amount": amount.scatter(list(range(0, rows, 10)), None),
            "other": rng.standard_normal(rows),
            "city": rng.choice(["Köln", "Zürich", "São Paulo", "0451 Paris"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "label": rng.random(rows) < 0.4,
        }
    ).with_columns(
        pl.col("at").dt.cast_time_unit("us"),
        pl.when(pl.int_range(pl.len()) % 7 > 0).then("city").alias("note"),
        pl.int_range(pl.len()).mod(5).alias("code"),
    )


def struck_columns(defect):
    columns = []
    for place, kind in enumerate(defect.takes):
        columns.append(SECOND[kind] if place else COLUMN_OF[kind])
    if defect.name in ("null_to_text", "null_to_empty"):
        columns = ["note"]
    return columns


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_changes_the_frame_and_equally_for_equal_seeds(name):
    frame, past = partition(2), [partition(1)]
    columns = struck_columns(DEFECTS[name])
    first, again = (plant(name, frame, columns, seed=3, past=past) for _ in range(2))
    assert_frame_equal(first, again)
    assert not first.equals(frame)


@pytest.mark.parametrize("name", [name for name, defect in DEFECTS.items() if defect.takes])
def test_columns_that_are_not_struck_stay_as_they_are(name):
    frame, columns = partition(2), struck_columns(DEFECTS[name])
    damaged = plant(name, frame, columns, seed=3, past=[partition(1)])
    if damaged.height == frame.height and name != "stale_partition":
        rest = [column for column in frame.columns if column not in columns]
        assert_frame_equal(damaged.select(rest), frame.select(rest))


@given(share=st.floats(0.01, 1.0), rows=st.integers(10, 300), seed=st.integers(0, 2**31))
def test_a_share_of_the_rows_is_struck_and_at_least_one(share, rows, seed):
    frame = pl.DataFrame({"x": np.arange(1.0, rows + 1)})
    damaged = plant("sign_flip", frame, ["x"], magnitude=share, seed=seed)
    assert (damaged["x"] < 0).sum() == max(1, round(share * rows))
    assert_frame_equal(damaged.select(pl.col("x").abs()), frame)


@given(share=st.floats(0.3, 1.0), seed=st.integers(0, 2**31))
def test_shuffling_keeps_the_values_of_a_column(share, seed):
    frame = pl.DataFrame({"x": np.arange(50), "y": np.arange(50)})
    damaged = plant("shuffled_column", frame, ["x"], magnitude=share, seed=seed)
    assert sorted(damaged["x"]) == list(range(50))
    assert damaged["y"].to_list() == list(range(50))


def test_ids_above_2_to_the_53_lose_their_last_bits_in_float64():
    frame = pl.DataFrame({"id": [2**53 + 1, 2**53 + 2, 7]})
    assert plant("float64_ids", frame, ["id"])["id"].to_list() == [2**53, 2**53 + 2, 7]


def test_a_lost_decimal_separator_makes_hundredfold_values():
    frame = pl.DataFrame({"price": [12.34, 0.5]})
    assert plant("decimal_comma", frame, ["price"])["price"].to_list() == [1234.0, 5.0]


def test_utf8_read_as_latin1_is_mojibake():
    assert plant("mojibake", pl.DataFrame({"city": ["Köln"]}), ["city"])["city"].to_list() == ["KÃ¶ln"]


def test_day_and_month_are_exchanged_where_they_can_be():
    frame = pl.DataFrame({"at": [datetime(2024, 3, 2, 5), datetime(2024, 3, 13)]})
    expected = [datetime(2024, 2, 3, 5), datetime(2024, 3, 13)]
    assert plant("day_month_swap", frame, ["at"])["at"].to_list() == expected


def test_whole_numbers_wrap_around_as_a_signed_type_does():
    frame = pl.DataFrame({"n": [127, 128, 300]})
    expected = np.array([127, 128, 300]).astype(np.int8).tolist()
    assert plant("overflow", frame, ["n"], magnitude=8)["n"].to_list() == expected


def test_a_stale_partition_holds_yesterdays_rows_at_todays_times():
    yesterday, today = partition(1), partition(2)
    stale = plant("stale_partition", today, ["at"], past=[yesterday])
    assert set(stale["id"]) == set(yesterday["id"])
    assert stale["at"].dt.date().unique().to_list() == today["at"].dt.date().unique().to_list()


def test_a_fan_out_repeats_keys_with_another_value():
    frame = pl.DataFrame({"id": range(100), "city": [str(i) for i in range(100)]})
    damaged = plant("join_fan_out", frame, ["city"], magnitude=0.3)
    assert damaged.height == 130
    assert damaged["id"].n_unique() == 100


def test_late_labels_strike_the_latest_rows_only():
    frame = partition(1)
    damaged = plant("late_labels", frame, ["label", "at"], magnitude=0.25)
    assert not damaged.tail(59)["label"].any()
    assert damaged.head(179)["label"].equals(frame.head(179)["label"])


@pytest.mark.parametrize(
    ("name", "columns", "options", "message"),
    [
        ("unit_chnge", ["amount"], {}, "unknown defect 'unit_chnge'; did you mean 'unit_change'"),
        ("unit_change", ["amuont"], {}, "unit_change: unknown column 'amuont'; did you mean 'amount'"),
        ("unit_change", [], {}, r"unit_change: takes the columns \(number\), got \[\]"),
        ("unit_change", ["city"], {}, "unit_change: 'city' is String, it takes a column of kind 'number'"),
        ("sign_flip", ["amount"], {"magnitude": 1.5}, "magnitude 1.5 is no share, which is above 0, at most 1"),
        ("stale_partition", ["at"], {}, "is made of earlier partitions; give at least one as `past`"),
    ],
)
def test_a_defect_that_makes_no_sense_is_refused_with_the_remedy(name, columns, options, message):
    with pytest.raises(DeclarationError, match=message):
        plant(name, partition(), columns, **options)


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("null_to_zero", "x", [1.0, 2.0]),
        ("mojibake", "x", ["Bern", "Rom"]),
        ("lost_leading_zeros", "x", ["10", "20"]),
        ("day_month_swap", "x", [datetime(2024, 3, 14), datetime(2024, 3, 3)]),
    ],
)
def test_a_defect_that_finds_nothing_to_strike_says_so(name, column, values):
    with pytest.raises(DeclarationError, match=f"{name}: leaves these 2 rows as they are"):
        plant(name, pl.DataFrame({column: values}), [column])


@pytest.mark.parametrize("name", ["category_rename", "merged_categories", "encoding_swap", "lost_category"])
def test_a_column_may_be_called_count(name):
    frame = pl.DataFrame({"count": ["a"] * 5 + ["b"] * 3 + ["c"]})
    assert not plant(name, frame, ["count"], magnitude=0.3).equals(frame)


def test_an_empty_frame_has_nothing_to_strike():
    with pytest.raises(DeclarationError, match="has no rows to strike"):
        plant("lost_rows", partition().clear())


def test_the_page_of_verdicts_lists_every_defect_with_its_words_and_magnitudes():
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("## The defects")[1].split("## Small detectors")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"`{name}`" for name in DEFECTS]
    for name, what, takes, magnitude, found_by in rows:
        defect = DEFECTS[name.strip("`")]
        assert defect.what.startswith(what)
        assert takes == (", ".join(defect.takes) or "none")
        assert magnitude == f"{defect.meaning}: {', '.join(f'{value:g}' for value in defect.magnitudes)}"
        assert found_by


def test_the_examples_of_the_page_run():
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 3
    exec("\n".join(code), {})
