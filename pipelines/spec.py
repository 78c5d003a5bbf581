"""Owns `Pipeline`: one declaration that names everything a pipeline is. Builds nothing; see `build`."""

import inspect
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, field_validator, model_validator

from assets.evaluate import Evaluate
from assets.ingest import Ingest
from assets.partitions import Partitions
from assets.preprocess import Features
from assets.train import Train
from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.transform.fitted import check_features, check_label
from resources.transform.preprocess import LABEL

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TEAM = re.compile(r"team:[\w.+-]+")
_OURS = (__file__, inspect.getfile(Declaration))


class Pipeline(Declaration):
    """From raw files to a promoted model, declared once.

    Attributes:
        name: Lower-case name; prefixes every asset key.
        description: What the model is for, in a sentence; shown in the web UI.
        partitions: Time partitions; without them rows are split by a stable hash.
        ingest: What is read and what its rows must be.
        features: What a row becomes before a model sees it, and what is predicted.
        train: Which trainer, on which window before the judged partition.
        evaluate: Metrics, slices, baseline and the promotion gate.
        schedule: Cron text, in the partitions' time zone, or None.
        watch_s: Seconds between two looks of the source sensor.
        automate: Whether assets carry an automation condition: materialize when upstream data or code changed and
            its blocking checks passed.
        owners: `team:name` or e-mail addresses.
        tags: Dagster tags on every asset.
    """

    name: str
    description: str = ""
    partitions: Partitions | None = None
    ingest: Ingest
    features: Features
    train: Train
    evaluate: Evaluate
    schedule: str | None = None
    watch_s: Annotated[int, Field(ge=1)] = 60
    automate: bool = False
    owners: tuple[str, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)
    _declared_at: tuple[str, int] | None = PrivateAttr(default=None)

    def __init__(self, **values: Any) -> None:  # Any: what the user typed
        super().__init__(**values)
        self._declared_at = _caller()

    @property
    def declared_at(self) -> tuple[Path, int] | None:
        """File and line of the declaration, where they are known."""
        return (Path(self._declared_at[0]), self._declared_at[1]) if self._declared_at else None

    def declared_in(self, file: Path) -> "Pipeline":
        """Return this pipeline as declared in `file`, for the links to its source."""
        self._declared_at = (str(file), 1)
        return self

    @field_validator("name")
    @classmethod
    def _valid_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            suggestion = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_0123456789") or "my_pipeline"
            raise DeclarationError(
                f"{name!r} must be a lower-case letter followed by letters, digits and _; for instance {suggestion!r}"
            )
        return name

    @field_validator("schedule")
    @classmethod
    def _valid_cron(cls, text: str | None) -> str | None:
        from dagster._utils.schedules import is_valid_cron_string

        if text is not None and not is_valid_cron_string(text):
            raise DeclarationError(f"{text!r} is no cron text of five fields such as '0 6 1 * *'")
        return text

    @field_validator("owners")
    @classmethod
    def _valid_owners(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        from dagster._core.utils import is_valid_email

        for owner in owners:
            if not (_TEAM.fullmatch(owner) or is_valid_email(owner)):
                raise DeclarationError(f"{owner!r} is neither 'team:name' nor an e-mail address")
        return owners

    @field_validator("tags")
    @classmethod
    def _valid_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        from dagster._utils.tags import is_valid_strict_tag_value, is_valid_tag_key

        for key, value in tags.items():
            if not (is_valid_tag_key(key) and is_valid_strict_tag_value(value)):
                raise DeclarationError(
                    f"{key!r}: {value!r} is no tag of Dagster: write both with at most 63 letters, digits, _, - and ."
                )
        return tags

    @model_validator(mode="after")
    def _parts_fit(self) -> "Pipeline":
        columns = self.ingest.columns()
        self.features.check(columns, self.event_time)
        if self.partitions is not None:
            self.partitions.check_keys("features.drift_accepted", self.features.drift_accepted)
        types = self.ingest.types()
        made = check_features("features", self.features.columns, self.features.steps, types)
        check_label("features.label", self.features.label, types)
        if self.partitions is None:
            self._check_unpartitioned()
        else:
            self._check_partitioned()
        self.train.check(self.features)
        if "leakage" in self.features.detect and self.train.task != "binary":
            raise DeclarationError(
                f"features.detect: leakage needs a label of 0 and 1, the trainer learns {self.train.task}; remove it"
            )
        times = {self.event_time: types[self.event_time]} if self.event_time else {}
        self.evaluate.check({**times, **made, LABEL: "float64"}, self.train.task)
        return self

    def _check_partitioned(self) -> None:
        if self.ingest.event_time is None:
            raise DeclarationError(
                "ingest.event_time: needed because the pipeline has time partitions; name the column"
            )
        if self.train.window is None:
            raise DeclarationError(
                "train.window: needed because the pipeline has time partitions, such as {partitions: 3}"
            )
        if self.features.split_by:
            raise DeclarationError("features.split_by: only without time partitions; remove it")

    def _check_unpartitioned(self) -> None:
        if self.train.window is not None:
            raise DeclarationError(
                "train.window: only with time partitions; without them train on the rows outside `holdout`"
            )
        if "{partition}" in self.ingest.source.url:
            raise DeclarationError("ingest.source.url: holds {partition}, but the pipeline declares no partitions")
        if self.ingest.source.templated:
            raise DeclarationError("ingest.source.sample_rows: of a partition, but the pipeline declares no partitions")
        if self.features.drift_accepted or self.features.drift_patience:
            raise DeclarationError("features.drift_accepted, drift_patience: only with time partitions; remove them")
        if self.features.lookback:
            raise DeclarationError("features.lookback: only with time partitions")
        for name in ("multivariate_drift", "prediction_drift"):
            if name in self.features.detect:
                raise DeclarationError(f"features.detect: {name} compares with earlier time partitions; remove it")
        if any("{partition}" in one.url for one in self.ingest.references.values()):
            raise DeclarationError(
                "ingest.references: a url holds {partition}, but the pipeline declares no partitions"
            )

    @property
    def event_time(self) -> str | None:
        """Name of the event-time column, or None."""
        return self.ingest.event_time.column if self.ingest.event_time else None


def _caller() -> tuple[str, int] | None:
    frame = inspect.currentframe()
    while frame is not None and (frame.f_code.co_filename in _OURS or "pydantic" in frame.f_code.co_filename):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else None
