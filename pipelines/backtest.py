"""Owns the replay of a retraining policy through history: partition after partition, in a registry of its own.

Nothing of the registry that serves is read or written. The replay begins with an empty registry every time, and what
it computed before is remembered by the store, so one that was interrupted is soon where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipelines.running import Outcome
from pipelines.summary import Ingested, Judged, Summary
from resources.errors import SettingsError
from resources.refs import digests_of
from resources.reports import FOLDER as REPORTS
from resources.storage.refs import listed, load
from resources.workspace import Workspace

PREFIX = "backtest-"
MODELS = ("challenger", "champion", "baseline")
Action = Literal["promoted", "refused", "unchanged", "blocked", "short", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What the policy did on one partition.

    Attributes:
        partition: Partition key.
        action: `promoted`; `refused` by the gate; `unchanged`: the challenger was champion already; `blocked` by a
            check of its data or of its training window; `short`: no history to train on; `failed`.
        judged: The judgement, where there was one.
        champion: Model in force after it, or None.
        reason: Why, in plain words.
    """

    partition: str
    action: Action
    judged: Judged | None
    champion: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A whole backtest.

    Attributes:
        pipeline: Name of the pipeline.
        name: Name of the backtest.
        metric: Metric that decides.
        unit: Its unit.
        confidence: Two-sided confidence of the intervals.
        steps: What happened, in the order of time.
        ingested: What became of the raw rows.
    """

    pipeline: str
    name: str
    metric: str
    unit: str
    confidence: float
    steps: tuple[Replayed, ...]
    ingested: tuple[Ingested, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Action to how often it happened."""
        actions = [step.action for step in self.steps]
        return {action: actions.count(action) for action in dict.fromkeys(actions)}

    @property
    def means(self) -> dict[str, float]:
        """Model to the mean of the deciding metric over the partitions on which all three were measured.

        `champion` is what would have served, `challenger` what would have served had every model been deployed
        unjudged, `baseline` no model at all.
        """
        rows = [values for step in self.steps if (values := measured(step)) is not None]
        return {model: sum(row[model] for row in rows) / len(rows) for model in MODELS} if rows else {}

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the backtest as a JSON value."""
        return {**asdict(self), "counts": self.counts, "means": self.means}


def registry_of(name: str) -> str:
    """Return the name of the registry in which the backtest `name` plays."""
    return f"{PREFIX}{name}"


def held(workspace: Workspace) -> tuple[str, ...]:
    """Return the digests of all values in the workspace's registry: a replay that has cleared it wants them again."""
    store = workspace.store
    values = [load(store, name.registry, name.asset, name.partition) for name in listed(store, workspace.registry_name)]
    return tuple(digest for value in values for digest in digests_of(value))


def clear(workspace: Workspace, pipeline: str) -> None:
    """Empty the backtest's own registry, log and values, so that a replay begins as history did.

    Raises:
        SettingsError: If the workspace's registry is not one of a backtest.
    """
    name = workspace.registry_name
    if not name.startswith(PREFIX):
        raise SettingsError(f"registry {name!r} is no backtest's: only those named {PREFIX}... may be emptied")
    for key in workspace.store.list(f"{REPORTS}/{name}/{pipeline}"):
        workspace.store.delete(key)
    for folder in (f"refs/{name}/{pipeline}", f"registry/{name}/{pipeline}"):
        # The newest entry first: a log that was cut off in the middle of this is still a whole log.
        for key in reversed(workspace.store.list(folder)):
            workspace.store.delete(key)
        if workspace.store.list(folder):
            raise SettingsError(
                f"the base store holds a backtest of {pipeline} in registry {name!r} too, which shows through: "
                "give yours another name"
            )


def replayed(
    asked: Sequence[str], outcomes: Iterable[Outcome], summary: Summary, *, name: str, gate: Mapping[str, Any]
) -> Replay:
    """Return the backtest that `outcomes` and what they left in the registry amount to.

    Args:
        asked: Partitions replayed, in order.
        outcomes: What became of each step.
        summary: What the registry holds afterwards.
        name: Name of the backtest.
        gate: The declared gate, JSON values.
    """
    by_partition = {outcome.step.partition: outcome for outcome in outcomes}
    judged = {item.partition: item for item in summary.judged}
    steps: list[Replayed] = []
    champion: str | None = None
    for key in asked:
        if key not in by_partition:
            break  # an earlier failure ended the replay
        step = _step(key, by_partition[key], judged.get(key), champion)
        champion = step.champion
        steps.append(step)
    return Replay(
        pipeline=summary.pipeline,
        name=name,
        metric=str(gate["metric"]),
        unit=str(gate.get("unit", "")),
        confidence=float(gate["confidence"]),
        steps=tuple(steps),
        ingested=tuple(item for item in summary.ingested if item.partition in asked),
    )


def measured(step: Replayed) -> dict[str, float] | None:
    """Return model to deciding metric, or None unless challenger, champion and baseline were all measured."""
    if step.judged is None:
        return None
    estimates = {model: step.judged.estimate(model) for model in MODELS}
    values = {model: item["value"] for model, item in estimates.items() if item is not None}
    found = {model: value for model, value in values.items() if value is not None}
    return found if len(found) == len(MODELS) else None


def _step(key: str, outcome: Outcome, judged: Judged | None, champion: str | None) -> Replayed:
    if outcome.status in ("failed", "short") or judged is None:
        action: Action = "failed" if outcome.status == "failed" else "short" if outcome.status == "short" else "blocked"
        return Replayed(partition=key, action=action, judged=None, champion=champion, reason="; ".join(outcome.reasons))
    if judged.promoted:
        action, champion = "promoted", judged.challenger
    else:
        action = "refused" if judged.verdict in ("inconclusive", "block") else "unchanged"
    return Replayed(partition=key, action=action, judged=judged, champion=champion, reason=judged.reasons[0])
