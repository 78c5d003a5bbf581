"""Owns the `model` stage: one bundle, trained on the window before the partition it will be judged on."""

from collections.abc import Generator
from typing import Any

import dagster as dg
from pydantic import Field

from assets.loading import loading_metadata
from assets.metadata import model_metadata
from assets.partitions import Window
from assets.preprocess import Features, parents
from assets.report import reported
from assets.stage import Stage, Work, forced, partition_of, plain_failures
from resources.declaration import Declaration
from resources.refs import DatasetRef, ModelRef
from resources.training.protocol import Task, trainer_named
from resources.training.recipe import TrainingRecipe
from resources.transform.steps import check_steps
from resources.wiring import WorkspaceResource


class Train(Declaration):
    """How a model is fitted.

    Attributes:
        trainer: Name of the trainer: `lightgbm`, `sklearn` or `torch`.
        parameters: The library's own parameters; of `torch`, those of `resources.training.neural.parameters`.
        seed: Seed of every random choice.
        window: Partitions before the judged one to train on; None without time partitions.
    """

    trainer: str = "lightgbm"
    parameters: dict[str, Any] = Field(default_factory=dict)  # Any: the library's own values
    seed: int = Field(default=0, ge=0, lt=2**31)
    window: Window | None = None

    @property
    def task(self) -> Task:
        """What the trainer learns with these parameters."""
        return trainer_named(self.trainer, field="train.trainer").task(self.parameters)

    def check(self, features: Features) -> None:
        """Refuse parameters the trainer does not know and steps over columns that do not exist.

        Raises:
            DeclarationError: Naming the field, the value and the nearest valid name.
        """
        trainer_named(self.trainer, field="train.trainer").check("train.parameters", self.parameters)
        check_steps("features.steps", features.steps, tuple(features.columns))


def model_asset(stage: Stage, spec: Train, *, recipe: TrainingRecipe) -> dg.AssetsDefinition:
    """Build the asset that trains the challenger of one partition.

    It yields nothing where history is shorter than the window's minimum, and the stages after it are skipped.
    """

    @stage.asset(
        "Model bundle: fitted transform and estimator, signed.",
        {spec.trainer},
        ins=_window_inputs(stage, spec.window),
        output_required=False,
    )
    def model(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, window: dict[str, DatasetRef]
    ) -> Generator[dg.MaterializeResult[ModelRef]]:
        from resources.training.train import train

        with plain_failures():
            opened, partition = workspace.open(), partition_of(context)
            if spec.window and len(window) < spec.window.minimum:
                context.log.info(_too_short(partition, len(window), spec.window))
                return
            work = Work(
                stage=stage,
                workspace=opened,
                partition=partition,
                parents=parents("features", window),
                parameters=recipe.to_json(),
                run_id=context.run.run_id,
                force=forced(context),
            )
            done = work.perform(ModelRef, lambda: train(opened, recipe, window))
            shown = {
                **model_metadata(opened, done, window),
                **loading_metadata(done.facts.get("loading", {})),
                **done.cache,
            }
            yield dg.MaterializeResult(
                value=done.ref,
                data_version=dg.DataVersion(done.ref.digest),
                metadata=reported(stage, opened, context, done.ref.digest, shown),
            )

    return model


def _window_inputs(stage: Stage, window: Window | None) -> dict[str, dg.AssetIn]:
    mapping = window.mapping() if window else None
    return {"window": dg.AssetIn(key=stage.sibling("features"), partition_mapping=mapping, metadata={"window": True})}


def _too_short(partition: str | None, found: int, window: Window) -> str:
    return (
        f"no model of {partition}: {found} partitions lie before it, train.window.minimum is {window.minimum}; "
        "the stages after it are skipped"
    )
