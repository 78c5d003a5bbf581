"""Lets a folder with `defs.yaml` declare a pipeline: the same fields, the same checks, no second schema.

Loaded by `dg` in every command of the environment: it must stay light.
"""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import BaseModel

if TYPE_CHECKING:
    from pipelines.spec import Pipeline


class PipelineComponent(dg.Component):
    """A Penstock pipeline. Its attributes are the fields of `pipelines.spec.Pipeline`."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self.pipeline = pipeline

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the declaration itself, so that `dg check yaml` validates what Python would."""
        from pipelines.spec import Pipeline

        return Pipeline

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "PipelineComponent":
        """Return the component of validated attributes."""
        from pipelines.spec import Pipeline
        from resources.errors import DeclarationError

        if not isinstance(attributes, Pipeline):
            raise DeclarationError(
                f"{context.path}/defs.yaml: attributes are missing; a pipeline needs at least a name"
            )
        return cls(attributes.declared_in(context.path / "defs.yaml"))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the pipeline's definitions."""
        from pipelines.build import build

        return build(self.pipeline)
