"""Owns the making of a gate report: score challenger, champion and baseline on the same unseen rows, judge, sign.

The statistics are `quality.evaluation`'s and the rule is `quality.gate`'s; this module brings models and rows to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl

from quality.evaluation import evaluate, slice_masks
from quality.gate import Gate, judge
from resources.canonical import canonical_json
from resources.errors import GateError
from resources.label_free import KEY as LABEL_FREE
from resources.label_free import learn
from resources.refs import DatasetRef, GateReport, ModelRef
from resources.registry import Registry
from resources.signing import sign_object
from resources.storage.datasets import read_frame
from resources.storage.objects import put_object
from resources.training.bundle import Bundle, read_bundle
from resources.training.protocol import Task
from resources.transform.expressions import apply_columns
from resources.transform.preprocess import BUCKET, LABEL
from resources.transform.split import BUCKETS
from resources.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How to measure and judge; see `assets.evaluate.Evaluate` for the fields."""

    metrics: tuple[str, ...]
    gate: Gate
    slices: Mapping[str, str]
    baseline_lag: timedelta
    cluster: timedelta
    holdout: float
    resamples: int
    seed: int
    meant_to_move: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the rules as a JSON value."""
        plain = {"baseline_lag": self.baseline_lag.total_seconds(), "cluster": self.cluster.total_seconds()}
        fields = {
            name: getattr(self, name) for name in ("metrics", "slices", "holdout", "resamples", "seed", "meant_to_move")
        }
        return {**fields, **plain, "gate": self.gate.model_dump(mode="json")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is judged.

    Attributes:
        pipeline: Name of the pipeline.
        partition: Key of the judged partition, or empty.
        raw: Partition key to raw dataset: the judged partition, last in order, and its lookback.
        features: Features of the judged partition.
        challenger: The model judged.
        champion: The model in force before it, or None.
        event_time: Event-time column, or None for a hash split.
    """

    pipeline: str
    partition: str
    raw: Mapping[str, DatasetRef]
    features: DatasetRef
    challenger: ModelRef
    champion: ModelRef | None
    event_time: str | None


def champion_for(registry: Registry, challenger: ModelRef, partition: str | None) -> ModelRef | None:
    """Return the model that `challenger` has to answer to on `partition`; see `Registry.champion_facing`."""
    entry = registry.champion_facing(challenger.digest, partition or "")
    return entry.model if entry is not None else None


def judge_challenger(workspace: Workspace, rules: Rules, case: Case) -> GateReport:
    """Return the signed gate report of one case; it is kept in the store under its digest.

    Raises:
        GateError: If there are no rows to judge on.
        SignatureError: If a model's bundle is unsigned, altered or foreign.
    """
    from resources.loader.shuffled import read_in_order

    # In the order of the raw rows, whose scores are laid beside them.
    features = read_in_order(workspace.store, case.features.digest)
    unseen = (
        pl.Series([True]).new_from_index(0, features.height)
        if case.event_time
        else features[BUCKET] < round(rules.holdout * BUCKETS)
    )
    judged = features.filter(unseen)
    if judged.is_empty():
        raise GateError(
            f"no rows to judge on in {case.partition or 'the holdout'}: enlarge the partition or evaluate.holdout"
        )
    bundles = {
        name: read_bundle(workspace.store, model.digest, keyring=workspace.keyring)
        for name, model in _models(case).items()
    }
    task: Task = bundles["challenger"].schema["task"]
    predictions = _scores(workspace, case, bundles, unseen)
    predictions["baseline"] = _baseline(workspace, rules, case, features, unseen, task=task)
    clusters = _clusters(judged, rules, case.event_time)
    evaluation = evaluate(
        judged[LABEL].to_numpy(),
        predictions,
        metrics=rules.metrics,
        task=task,
        clusters=clusters,
        slices=_slices(judged, rules.slices),
        min_slice_rows=rules.gate.min_slice_rows,
        seed=rules.seed,
        resamples=rules.resamples,
        confidence=rules.gate.confidence,
    )
    champion = case.champion.digest if case.champion else None
    learned = learn(
        evaluation, {name: model.digest for name, model in _models(case).items()}, predictions, judged,
        label=LABEL, leave_out=(BUCKET, *rules.meant_to_move), clusters=clusters,
        seed=rules.seed,
    )  # fmt: skip
    judgement = judge(evaluation, rules.gate, champion=champion, where=case.partition)
    report = GateReport(
        pipeline=case.pipeline,
        partition=case.partition,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        challenger=case.challenger.digest,
        champion=champion,
        inputs=_inputs(case),
        gate=rules.gate.model_dump(mode="json"),
        measurements={
            "evaluation": evaluation.to_json(),
            "judgement": judgement.to_json(),
            "rules": rules.to_json(),
            LABEL_FREE: learned,
        },
    )
    return sign_report(workspace, report)


def sign_report(workspace: Workspace, report: GateReport) -> GateReport:
    """Return `report` with this workspace's signature, and keep it under its digest for whoever wants to verify it."""
    unsigned = asdict(replace(report, signature="", key_id=""))
    del unsigned["signature"], unsigned["key_id"]
    put_object(workspace.store, canonical_json(unsigned))
    sign_object(workspace.store, "report", report.digest, workspace.signer)
    signature = workspace.signer.sign("report", report.digest)
    return replace(report, signature=signature, key_id=workspace.signer.key_id)


def _models(case: Case) -> dict[str, ModelRef]:
    models = {"challenger": case.challenger}
    return models | ({"champion": case.champion} if case.champion else {})


def _scores(
    workspace: Workspace, case: Case, bundles: Mapping[str, Bundle], unseen: pl.Series
) -> dict[str, Any]:  # Any: numpy arrays
    """Score from the raw rows: each model goes through its own whole transform, as it will when it serves."""
    raw = pl.concat([read_frame(workspace.store, case.raw[key].digest) for key in sorted(case.raw)])
    scores = {name: bundle.predict_raw(raw.lazy()) for name, bundle in bundles.items()}
    return {name: found[-case.features.rows :][unseen.to_numpy()] for name, found in scores.items()}


def _baseline(
    workspace: Workspace, rules: Rules, case: Case, features: pl.DataFrame, unseen: pl.Series, *, task: Task
) -> Any:  # Any: numpy array
    """Return last week's label (the lag is declared), or the mean label of the training rows where there is none.

    A binary task always has the mean: a class is no probability, and a wrong one costs the log loss of certainty.
    """
    from resources.loader.shuffled import read_in_order

    time = case.event_time
    if time is None:
        known = features.filter(~unseen)
        return pl.Series([known[LABEL].mean()]).new_from_index(0, int(unseen.sum())).to_numpy()
    digests = [case.challenger.training_digests[key] for key in sorted(case.challenger.training_digests)]
    history = pl.concat([read_in_order(workspace.store, digest, [time, LABEL]) for digest in digests])
    mean = history[LABEL].mean()
    if task == "binary":
        return pl.Series([mean]).new_from_index(0, features.height).to_numpy()
    seen = pl.concat([history, features.select(time, LABEL)]).group_by(time).agg(pl.col(LABEL).mean().alias("lagged"))
    lagged = seen.with_columns(pl.col(time) + rules.baseline_lag)
    joined = features.select(time).join(lagged, on=time, how="left", maintain_order="left")
    return joined["lagged"].fill_null(mean).to_numpy()


def _clusters(judged: pl.DataFrame, rules: Rules, event_time: str | None) -> Any:  # Any: numpy array or None
    if event_time is None:
        return None
    step_us = int(rules.cluster.total_seconds() * 1_000_000)
    return judged.select(pl.col(event_time).dt.epoch("us") // step_us).to_series().to_numpy()


def _slices(judged: pl.DataFrame, texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:  # Any: numpy bool masks
    named = apply_columns(judged.lazy(), texts).collect() if texts else pl.DataFrame()
    return {name: slice_masks(named[name]) for name in texts}


def _inputs(case: Case) -> dict[str, str]:
    raw: Sequence[tuple[str, str]] = [(f"raw@{key}" if key else "raw", ref.digest) for key, ref in case.raw.items()]
    models = {name: model.digest for name, model in _models(case).items()}
    return {**dict(raw), "features": case.features.digest, **models}
