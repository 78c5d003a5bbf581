"""Owns what is trained: everything of a pipeline's declaration that decides the bits of its model.

It is kept in the bundle as `declaration.json`, so that a model can be made again without the catalog.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from resources.declaration import Declaration
from resources.errors import DeclarationError
from resources.source.spec import EventTime
from resources.training.protocol import Task, Trainer, trainer_named
from resources.transform.steps import Step, check_steps


class TrainingRecipe(Declaration):
    """How a model is trained.

    Attributes:
        pipeline: Name of the pipeline.
        columns: Row-wise features, name to SQL text over the contract's columns, in order.
        steps: Steps fitted on the training window, in the order they run.
        label: Column of the features dataset that holds the label.
        rows: SQL condition over the features dataset that a training row meets; empty for every row. It keeps the
            holdout of a hash split out of training.
        trainer: Name of the trainer.
        parameters: Parameters of the trainer.
        seed: Seed of every random choice.
        contract: The data contract of a raw row, as JSON.
        event_time: When a raw row happened, where the pipeline says it; kept, like contract and options, so that a
            bundle alone reads and scores a raw file.
        options: How a raw text file is written, see `resources.source.Source`.
    """

    pipeline: str
    columns: tuple[tuple[str, str], ...] = Field(min_length=1)
    steps: tuple[Step, ...] = ()
    label: str
    rows: str = ""
    trainer: str = "lightgbm"
    parameters: dict[str, Any] = Field(default_factory=dict)  # Any: JSON values, given by the user
    seed: int = Field(default=0, ge=0, lt=2**31)
    contract: dict[str, Any]  # Any: JSON of quality.contract.Contract
    event_time: EventTime | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # Any: text or list of text

    @field_validator("columns", mode="before")
    @classmethod
    def _ordered(cls, value: object) -> object:
        return tuple(value.items()) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> "TrainingRecipe":
        if self.label in dict(self.columns):
            raise DeclarationError(f"columns: {self.label!r} is the label: a model cannot read what it predicts")
        self.learner.check("parameters", self.parameters)
        check_steps("steps", self.steps, list(self.texts))
        return self

    @property
    def learner(self) -> Trainer:
        """The trainer itself."""
        return trainer_named(self.trainer)

    @property
    def task(self) -> Task:
        """What the trainer learns."""
        return self.learner.task(self.parameters)

    @property
    def texts(self) -> dict[str, str]:
        """Row-wise features, name to SQL text, in order."""
        return dict(self.columns)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as a JSON value that `TrainingRecipe.parse` reads back."""
        return self.model_dump(mode="json")
