"""Python's regular expressions in Rust's words: the same texts are found."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.suites.regex import translate

PATTERNS = (r"^\w+$", r"^\W+$", r"^\d+$", r"^\D+$", r"^[\w.]$", r"^[^\d]$", r"^[\W_]+$", r"\s", r"^\S*$")
NEWER = ["\U000314eb", "\U00011f50", "\U0001e6c0", "\U00016d40"]
"""Letters and digits of Unicode 15 to 17: those that this Python does not know are none to it."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_characters_that_came_to_unicode_after_this_python_are_what_python_takes_them_for(pattern):
    texts = [*NEWER, *(f"a{text}" for text in NEWER), "a", "5", "_", " ", "", "é", "٣"]
    assert pl.Series(texts).str.contains(translate(pattern)).to_list() == [bool(re.search(pattern, x)) for x in texts]


@given(text=st.text(max_size=3), pattern=st.sampled_from(PATTERNS))
def test_classes_hold_the_characters_that_they_hold_in_python(text, pattern):
    assert pl.Series([text]).str.contains(translate(pattern)).item() == bool(re.search(pattern, text))
