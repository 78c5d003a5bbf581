"""`penstock show`: one pipeline, as declared and as it stands."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.environment import prepare

if TYPE_CHECKING:
    from pipelines.spec import Pipeline
    from resources.workspace import Workspace


def show(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline; see `penstock list`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print declaration and state as JSON.")] = False,
) -> None:
    """Show what a pipeline declares and which partitions were run."""
    from pipelines.cli.console import print_json, print_pairs

    prepare()
    from pipelines.cli.opened import workspace
    from pipelines.lookup import find

    opened = workspace()
    found = find(pipeline, opened.settings)
    state = _state(opened, found)
    if as_json:
        print_json({"declaration": found.model_dump(mode="json"), "state": state})
        return
    print_pairs(_pairs(found))
    print()
    print_pairs({name: str(value) for name, value in state.items()})


def _pairs(found: "Pipeline") -> dict[str, str]:
    at = found.declared_at
    window, gate = found.train.window, found.evaluate.gate
    parts = found.partitions
    return {
        "pipeline": found.name,
        "what for": found.description,
        "declared in": f"{at[0]}:{at[1]}" if at else "-",
        "source": _source(found),
        "partitions": f"{parts.every} from {parts.start}{f' to before {parts.end}' if parts.end else ''}"
        if parts
        else "none: split by a stable hash",
        "columns": ", ".join(found.ingest.contract.columns),
        "expectations": str(len(found.ingest.expectations)),
        "features": ", ".join(found.features.columns),
        "label": found.features.label,
        "steps": ", ".join(step.kind for step in found.features.steps) or "none",
        "trainer": f"{found.train.trainer}, seed {found.train.seed}",
        "window": f"{window.partitions} partitions before the judged one" if window else "the rows outside the holdout",
        "metrics": ", ".join(found.evaluate.measured()),
        "gate": f"{gate.metric} not worse by {gate.margin:g} {gate.unit}".rstrip()
        if gate.margin
        else f"{gate.metric} better",
        "schedule": found.schedule or "none",
        "owners": ", ".join(found.owners) or "none",
    }


def _source(found: "Pipeline") -> str:
    from resources.source.location import redacted

    source = found.ingest.source
    if given := os.environ.get(source.url_env or ""):
        return f"{redacted(given)} (from {source.url_env})"
    if source.url:
        return redacted(source.url)
    return f"a generated look-alike, while {source.url_env} is unset" if source.sample else f"{source.url_env}, unset"


def _state(opened: "Workspace", found: "Pipeline") -> dict[str, Any]:  # Any: JSON values
    from pipelines.cli.console import short
    from resources.stages import STAGES
    from resources.storage import refs

    made = {stage: refs.partitions(opened.store, opened.registry_name, (found.name, stage)) for stage in STAGES}
    entry = opened.registry(found.name).champion()
    spans = {
        stage: f"{len(keys)} partitions, {keys[0]} to {keys[-1]}" if keys else "no partition yet"
        for stage, keys in made.items()
        if found.partitions is not None
    }
    return {"registry": opened.registry_name, "champion": short(entry.model.digest) if entry else "none yet", **spans}
