"""Pictures: valid, small, deterministic SVG whose texts do not collide."""

import base64
import math
import re
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quality import svg
from quality.pictures import bar_chart, histogram_pair, interval_chart, line_chart
from quality.profile import profile
from quality.profile_picture import MAX_COLUMNS, profile_picture
from resources.errors import DeclarationError

MONTHS = [f"{year}-{month:02}" for year in (2011, 2012) for month in range(1, 13)]
WAVE = [80 + 20 * math.sin(i / 3) for i in range(24)]
MIXED = pl.DataFrame(
    {
        "temperature": [0.123456789 * i for i in range(200)],
        "a_column_with_a_name_that_is_far_too_long": [None, *range(199)],
        "weather": ["clear", "mist"] * 100,
        "constant": [1.0] * 200,
        "empty": pl.Series([None] * 200, dtype=pl.Float64),
    }
)
WIDE = pl.DataFrame({f"column_{i}": [math.sin(i * k) * 1e6 for k in range(3_000)] for i in range(40)})
PICTURES = {
    "lines": line_chart(
        "RMSE", MONTHS, {"challenger": WAVE, "champion": WAVE[::-1]}, y_label="RMSE, rides/h", x_label="month"
    ),
    "bars": bar_chart("Importance", {"hour": 1234.5, "temperature": 80.0, "wind": -3.0}, unit="gain"),
    "histograms": histogram_pair("temp", [0, 1, 2, 3], {"reference": [1, 5, 2], "current": [0, 3, 9]}, unit="°C"),
    "profile": profile_picture("What the columns hold", profile(MIXED)),
    "wide profile": profile_picture("What the columns hold", profile(WIDE)),
    "intervals": interval_chart(
        "RMSE", {"challenger": (95.2, 88.1, 103.0), "none": (None, None, None)}, unit="rides/h"
    ),
}


def drawn(markdown):
    title, encoded = re.fullmatch(r"!\[(.*)\]\(data:image/svg\+xml;base64,(.*)\)", markdown).groups()
    return title, ET.fromstring(base64.b64decode(encoded))


def texts(markdown):
    return [element for element in drawn(markdown)[1].iter() if element.tag.endswith("}text")]


def box(element):
    width = svg.text_width(element.text, float(element.get("font-size", svg.SIZE)))
    shift = {"start": 0.0, "middle": width / 2, "end": width}[element.get("text-anchor", "start")]
    x, y = float(element.get("x")) - shift, float(element.get("y"))
    return x, y - 10, x + width, y + 2


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_one_markdown_image_under_20_kb(name):
    title, root = drawn(PICTURES[name])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert title
    assert len(PICTURES[name]) < 20_000


@pytest.mark.parametrize("name", PICTURES)
def test_no_text_of_a_picture_overlaps_another_or_leaves_it(name):
    boxes = [box(element) for element in texts(PICTURES[name])]
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left <= right <= svg.WIDTH
        for other in boxes[index + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_a_chart_of_many_partitions_stays_small_and_names_the_newest():
    days = [f"2011-{i:05}" for i in range(3_000)]
    series = {name: [math.sin(i / 50 + j) for i in range(3_000)] for j, name in enumerate("abcdef")}
    chart = line_chart("days", days, series, y_label="x", bands={"a": (series["a"], series["b"])})
    assert len(chart) < 20_000
    assert "2011-02999" in [element.text for element in texts(chart)]


def test_a_missing_value_interrupts_the_line():
    chart = line_chart("x", ["a", "b", "c", "d", "e"], {"y": [1.0, 2.0, None, 3.0, 4.0]}, y_label="y")
    assert sum(element.tag.endswith("}path") for element in drawn(chart)[1].iter()) == 2


def test_a_name_with_markup_is_shown_as_it_is():
    chart = bar_chart('<b>&"[x]', {"a < b & c": 1.0})
    assert {'<b>&"[x]', "a < b & c"} <= {element.text for element in texts(chart)}


def test_models_keep_their_colours_in_every_chart():
    lines = line_chart("t", ["1", "2"], {"champion": [1.0, 2.0]}, y_label="y")
    intervals = interval_chart("t", {"baseline": (3.0, 2.0, 4.0), "champion": (1.0, 0.5, 1.5)})
    for chart in (lines, intervals):
        assert svg.PALETTE[1] in base64.b64decode(chart.split(",")[1][:-1]).decode()


def test_bars_past_the_twentieth_are_counted():
    chart = bar_chart("many", {f"feature {i}": 1.0 / (i + 1) for i in range(30)})
    assert "and 10 more" in [element.text for element in texts(chart)]


@pytest.mark.parametrize(
    "chart",
    [
        line_chart("none", [], {"a": []}, y_label="y"),
        line_chart("none", ["a"], {"a": [None]}, y_label="y"),
        bar_chart("none", {"a": math.nan}),
        histogram_pair("none", [0, 1], {"a": [0]}),
        interval_chart("none", {"a": (None, None, None)}),
    ],
)
def test_a_picture_without_values_says_so(chart):
    assert "no values yet" in [element.text for element in texts(chart)]


def test_series_that_do_not_match_are_refused():
    with pytest.raises(DeclarationError, match="series 'a' has 1 values for 2 places"):
        line_chart("t", ["1", "2"], {"a": [1.0]}, y_label="y")
    with pytest.raises(DeclarationError, match="at most 6 series"):
        line_chart("t", ["1"], {str(i): [1.0] for i in range(7)}, y_label="y")
    with pytest.raises(DeclarationError, match="3 counts for 3 edges"):
        histogram_pair("t", [0, 1, 2], {"a": [1, 2, 3]})


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_any_finite_values_can_be_drawn(values):
    names = [str(i) for i in range(len(values))]
    charts = [
        line_chart("t", names, {"a": values}, y_label="y"),
        bar_chart("t", dict(zip(names, values, strict=True))),
        interval_chart("t", {n: (v, v - 1, v + 1) for n, v in zip(names, values, strict=True)}),
    ]
    assert all(drawn(chart) for chart in charts)


@settings(deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
@example(0.0, 5e-324)
@example(1e12, 999_999_999_999.9999)
def test_ticks_are_few_in_order_and_within_the_scale(one, two):
    found = svg.scale([one, two], 0, 100)
    assert 1 <= len(found.ticks) <= 8
    assert list(found.ticks) == sorted(found.ticks)
    slack = 1e-6 * (found.high - found.low)
    assert found.low - slack <= min(one, two, *found.ticks)
    assert max(one, two, *found.ticks) <= found.high + slack


def test_bars_of_whole_numbers_are_labelled_as_whole_numbers():
    told = [element.text for element in texts(bar_chart("Rejected rows", {"too late": 2, "too early": 1_500}))]
    assert {"2", "1,500"} <= set(told)


def test_a_profile_picture_names_every_column_that_has_values_with_its_range_and_nulls():
    told = [element.text for element in texts(PICTURES["profile"])]
    assert {"temperature", "weather", "constant", "1 null", "0", "24.57", "clear", "mist"} <= set(told)
    assert "empty" not in told


def test_a_profile_picture_of_many_columns_says_how_many_it_leaves_out():
    assert f"and {40 - MAX_COLUMNS} more" in [element.text for element in texts(PICTURES["wide profile"])]
