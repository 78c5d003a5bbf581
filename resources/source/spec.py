"""Owns the declaration of a source: where the raw file lies, its format, and when its rows happened.

It opens nothing: `resources.source.location` does.
"""

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from quality.contract.types import zone_name
from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.names import choose

Format = Literal["csv", "parquet", "jsonl", "arrow"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
}
COMPRESSIONS: dict[str, str] = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
OPTIONS: dict[Format, frozenset[str]] = {
    "csv": frozenset({"delimiter", "quote", "null_values", "encoding", "columns"}),
    "jsonl": frozenset({"encoding"}),
    "parquet": frozenset(),
    "arrow": frozenset(),
}
"""Options of each format, as `Source` explains them."""


class Source(Declaration):
    """Where the raw rows lie.

    Attributes:
        url: Any fsspec URL, chained ones too (`zip://hour.csv::https://...`). With `{partition}` in it
            there is one file a partition, without it one file holds all.
        format: csv, parquet, jsonl or arrow; None takes it from the file name.
        options: Of csv: `delimiter`, `quote`, `null_values`, `encoding`, `columns` (names, for a file without a header
            line). Of jsonl: `encoding`.
        url_env: Environment variable whose value, where set, replaces `url`.
        sample: `module:function` of a generator that writes a look-alike file when `url_env` and `url` are unset.
            It is called with a folder and returns the path it wrote; the same call must write the same bytes.
        sample_rows: Rows of a look-alike that has one file a partition, each made when its partition is ingested: the
            generator is then called with a folder, the partition's key and the rows, and writes `KEY.FORMAT` there.
        sample_rows_env: Environment variable whose value, where set, replaces `sample_rows`.
    """

    url: str = ""
    format: Format | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # Any: text or list of text, checked below
    url_env: str | None = None
    sample: str | None = None
    sample_rows: int | None = Field(default=None, ge=1)
    sample_rows_env: str | None = None

    @field_validator("sample")
    @classmethod
    def _names_a_function(cls, value: str | None) -> str | None:
        if value is not None and (value.count(":") != 1 or not all(value.split(":"))):
            raise DeclarationError(f"{value!r} must be written 'module:function'")
        return value

    @model_validator(mode="after")
    def _has_a_place(self) -> "Source":
        if not self.url and self.url_env is None:
            raise DeclarationError("url is empty: give a URL or path, or url_env, the variable that names it")
        if self.sample is not None and self.url_env is None:
            raise DeclarationError("sample needs url_env: the variable that names the real file")
        if self.sample_rows is not None and (self.sample is None or self.format is None):
            raise DeclarationError(
                "sample_rows needs sample and format: the generator, and the end of its files' names"
            )
        if self.sample_rows_env is not None and self.sample_rows is None:
            raise DeclarationError("sample_rows_env needs sample_rows: the rows while the variable is unset")
        return self

    @field_validator("url")
    @classmethod
    def _known_placeholder(cls, value: str) -> str:
        for name in re.findall(r"\{(.*?)\}", value):
            if name != "partition":
                raise DeclarationError(f"{value!r} holds {{{name}}}: the only placeholder is {{partition}}")
        return value

    @model_validator(mode="after")
    def _options_fit_the_format(self) -> "Source":
        form = self.format or guess_format(self.url)
        allowed = OPTIONS[form] if form else OPTIONS["csv"]
        for name, value in self.options.items():
            choose("options", name, allowed)
            check_option(name, value)
        return self

    @property
    def templated(self) -> bool:
        """Whether each partition has its own file."""
        return "{partition}" in self.url or self.sample_rows is not None


class EventTime(Declaration):
    """When a row happened.

    Attributes:
        column: Name of the event-time column; stored as `timestamp[us, tz=UTC]`.
        expression: SQL text over the columns of the contract that gives a date or clock; None reads `column` itself.
        timezone: IANA zone of a clock that names none. Local times that a change of clocks skips or
            repeats are rejected.
    """

    column: str = Field(min_length=1)
    expression: str | None = None
    timezone: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else zone_name(value)


def guess_format(url: str) -> Format | None:
    """Return the format that the file name in `url` tells, or None.

    >>> guess_format("zip://hour.csv::https://example.org/bikes.zip"), guess_format("s3://b/part-{partition}.pq")
    ('csv', 'parquet')
    """
    for segment in url.split("::"):
        name = segment.partition("?")[0].rstrip("/").lower()
        for ending in COMPRESSIONS:
            name = name.removesuffix(ending)
        for suffix, form in SUFFIXES.items():
            if name.endswith(suffix):
                return form
    return None


def guess_delimiter(url: str) -> str:
    """Return the delimiter that the file name in `url` tells: a tab for `.tsv`, else a comma."""
    return "\t" if ".tsv" in url.split("::", maxsplit=1)[0].lower() else ","


def check_option(name: str, value: object) -> None:
    """Refuse an option of a CSV file that cannot be meant.

    Raises:
        DeclarationError: Naming the option, its value and what it may be.
    """
    if name in ("delimiter", "quote"):
        if not (isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n"):
            raise DeclarationError(f"options.{name} must be one ASCII character, got {value!r}")
    elif name == "encoding":
        _check_encoding(value)
    elif not (isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value)):
        raise DeclarationError(f"options.{name} must be a list of texts, got {value!r}")


def _check_encoding(value: object) -> None:
    try:
        "a".encode(str(value))
    except (LookupError, UnicodeError) as error:  # of an encoding of bytes too, such as base64
        raise DeclarationError(f"options.encoding {value!r} is unknown; try 'utf-8', 'latin-1', 'utf-16'") from error
