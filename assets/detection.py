"""Owns the checks of `raw` and `features` by detectors that a pipeline asks for: each warns, lost references block.

They are off unless declared: each needs a past of its own, and reads rows. What a detector measured of a dataset is
remembered under its digest, so that later partitions are compared with it without reading it again. What they find is
told by the functions of `assets.checks`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.checks.compared import of_drift
from assets.checks.detectors import PAST, dependences, leakage, repeats
from assets.checks.drift import days_of, multivariate, usual_areas
from assets.checks.history import trait_metrics
from assets.checks.rows import rows_at
from assets.history import of_history, span_of
from assets.ingest import Ingest
from assets.judging import Declared, Look, build_checks
from assets.partitions import Window
from assets.preprocess import Features
from assets.stage import Stage
from assets.told import Told, of_findings
from quality import wording
from quality.anomalies.calendar import CADENCES
from quality.verdicts import Finding
from resources.canonical import digest_value
from resources.names import choose
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.datasets import read_frame
from resources.storage.memo import REQUIRES, recall, remember
from resources.training.bundle import read_bundle
from resources.transform.preprocess import BUCKET, LABEL
from resources.workspace import Workspace

if TYPE_CHECKING:
    import polars as pl

MULTIVARIATE_TOLERANCE = 0.05
"""Area under the curve above one half that is tolerated."""
ALPHA = 0.01
"""Probability of a false alarm of one drift check of one partition."""
REPEATED = 0.001
"""Share of repeated rows that is tolerated."""
TRAIT_TOLERANCE = 0.05
"""Change of a trait's share that is tolerated."""
DEPENDENCE_TOLERANCE = 0.1
"""Change of Cramér's V that is tolerated."""
DESCRIPTIONS = {
    "dependence": "Columns depend on each other as they always did.",
    "leakage": "No feature tells the label alone.",
    "multivariate_drift": "No classifier can tell the partition from the training window before it.",
    "prediction_drift": "The champion predicts what it predicts on its training window.",
    "references": "Every key is in the table that it refers to.",
    "repeats": "No row came before.",
    "traits": "Traits of the columns are in the range that their past predicts.",
}
"""Name of a detector to what its check says."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A dataset as a detector sees it.

    Attributes:
        workspace: Where it lies.
        stage: Whose it is.
        ref: The dataset.
        partition: Partition key, or None.
        earlier: Earlier partition to its dataset, oldest first.
    """

    workspace: Workspace
    stage: Stage
    ref: DatasetRef
    partition: str | None
    earlier: Mapping[str, DatasetRef]

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """The rows, read once for all detectors."""
        return read_frame(self.workspace.store, self.ref.digest).drop(BUCKET, strict=False)

    def past(self, detector: str, limit: int) -> dict[str, Any]:  # Any: JSON values
        """Return what the detector measured of the last `limit` partitions, where it did."""
        chosen = list(self.earlier.items())[-limit:]
        found = {key: recall(self.workspace.store, self._recipe(detector, ref)) for key, ref in chosen}
        return {key: value["measured"] for key, value in found.items() if value is not None}

    def keep(self, detector: str, measured: object) -> None:
        """Remember what the detector measured."""
        value = {"measured": measured, REQUIRES: [self.ref.digest]}
        remember(self.workspace.store, self._recipe(detector, self.ref), value)

    def _recipe(self, detector: str, ref: DatasetRef) -> str:
        return digest_value({"detected": detector, "dataset": ref.digest, "registry": self.workspace.registry_name})


Detector = Callable[[Seen], Told]


def raw_detectors(stage: Stage, spec: Ingest) -> list[dg.AssetChecksDefinition]:
    """Build the checks of `raw` that its declaration asks for."""
    known: dict[str, Detector] = {
        "dependence": lambda seen: dependences(
            seen.frame, seen.past("dependence", PAST), columns=None, tolerance=DEPENDENCE_TOLERANCE
        ),
        "repeats": lambda seen: repeats(
            seen.frame, seen.past("repeats", PAST), columns=spec.contract.unique or None, tolerance=REPEATED
        ),
        "traits": lambda seen: _traits(seen, spec.history.false_alarms_per_year),
    }
    chosen = {name: known[name] for name in spec.detect}
    return _checks(stage, chosen | ({"references": lambda seen: _references(seen, spec)} if spec.references else {}))


def features_detectors(stage: Stage, spec: Features, window: Window | None) -> list[dg.AssetChecksDefinition]:
    """Build the checks of `features` that their declaration asks for."""
    columns = [name for name in (*spec.columns, LABEL) if name not in spec.drift_ignore]
    known: dict[str, Detector] = {
        "dependence": lambda seen: dependences(
            seen.frame, seen.past("dependence", PAST), columns=columns, tolerance=DEPENDENCE_TOLERANCE
        ),
        "leakage": lambda seen: leakage(
            seen.frame, seen.past("leakage", PAST), label=LABEL, columns=list(spec.columns)
        ),
        "multivariate_drift": lambda seen: _multivariate(seen, columns, window.partitions if window else 1),
        "prediction_drift": lambda seen: _predictions(seen, spec.drift_tolerance),
    }
    most = max(PAST, window.partitions if window else 0)
    return _checks(stage, {name: known[name] for name in spec.detect}, most)


def _checks(stage: Stage, detectors: Mapping[str, Detector], most: int = PAST) -> list[dg.AssetChecksDefinition]:
    if not detectors:
        return []

    def judge(look: Look, ref: DatasetRef) -> Callable[[str], Told]:
        every = stage.partitions.every if stage.partitions and "traits" in look.chosen else None
        seen = _seen(look, stage, ref, most if every is None else CADENCES[every].window)
        return lambda name: _told(seen, name, detectors[name])

    checks = {name: Declared(description=DESCRIPTIONS[name], blocking=name == "references") for name in detectors}
    return [build_checks(stage, f"{stage.pipeline}_{stage.name}_detectors", checks, DatasetRef, judge)]


def _seen(look: Look, stage: Stage, ref: DatasetRef, most: int) -> Seen:
    place = (look.workspace.store, look.workspace.registry_name, stage.key.path)
    earlier = {} if look.partition is None else refs.earlier(*place, DatasetRef, before=look.partition, most=most)
    return Seen(workspace=look.workspace, stage=stage, ref=ref, partition=look.partition, earlier=earlier)


def _told(seen: Seen, name: str, detect: Detector) -> Told:
    told = detect(seen)
    if told.measured is not None:
        seen.keep(name, told.measured)
    return told


def _traits(seen: Seen, per_year: float) -> Told:
    from quality.anomalies.judging import judge_past
    from quality.traits import traits

    partitions, found = seen.stage.partitions, traits(seen.frame)
    if partitions is None or seen.partition is None:
        return Told(verdict="pass", reason="the pipeline has no time partitions, and so no past to compare with")
    cadence = CADENCES[partitions.every]
    past = {**seen.past("traits", cadence.window), seen.partition: found}
    spans = [span_of(partitions, key) for key in past]
    metrics = trait_metrics(list(past.values()), tolerance=TRAIT_TOLERANCE)
    return of_history(judge_past(metrics, spans, cadence, per_year=per_year), measured=found)


def _references(seen: Seen, spec: Ingest) -> Told:
    from quality.references import judge_references

    found: list[Finding] = []
    for column, one in spec.references.items():
        table, key = rows_at(one.url)(seen.partition), one.column or column
        choose(f"ingest.references.{column}.column", key, table.columns)
        found.append(judge_references(seen.frame[column], table[key], table=one.url, tolerance=one.tolerance))
    return of_findings(found, calm="; ".join(one.reason for one in found))


def _multivariate(seen: Seen, columns: Sequence[str], window: int) -> Told:
    """Compare the partition with the training window before it, once enough partitions tell what is usual."""
    from quality.drift import MIN_PAIRS

    reference = [ref.digest for ref in list(seen.earlier.values())[-window:]]
    if not reference:
        return Told(verdict="pass", reason="nothing to compare with: no earlier features")
    areas = usual_areas(list(seen.past("multivariate_drift", PAST).values()))
    told = multivariate(
        (_together(seen, reference), seen.frame), columns=columns, tolerance=MULTIVARIATE_TOLERANCE, alpha=ALPHA,
        areas=areas,
    )  # fmt: skip
    missing = MIN_PAIRS - len(areas)
    if missing <= 0:
        return told
    # Rows of a day are alike, so that a classifier tells healthy days apart: what is usual must be known first.
    reason = f"too little history: needs {wording.count(missing, 'more partition')}; {told.reason}"
    return replace(told, verdict="pass", reason=reason)


def _predictions(seen: Seen, tolerance: float) -> Told:
    """Compare what the champion predicts on the partition with what it predicts on its training window."""
    import polars as pl

    from quality.drift import MIN_PAIRS, Past, drift

    entry = seen.workspace.registry(seen.stage.pipeline).champion_facing("", seen.partition or "")
    if entry is None:
        return Told(verdict="pass", reason="nothing is predicted yet: there is no champion")
    digests = entry.model.training_digests
    bundle = read_bundle(seen.workspace.store, entry.model.digest, keyring=seen.workspace.keyring)
    sides = (_together(seen, [digests[key] for key in sorted(digests)]), seen.frame)
    if any(side.is_empty() for side in sides):
        return Told(verdict="pass", reason="no rows to compare")
    before, after = (pl.DataFrame({"prediction": bundle.predict_rows(side.lazy())}) for side in sides)
    clock = _clock(seen.frame)
    effects: dict[tuple[str, str], list[float]] = {}
    for one in seen.past("prediction_drift", PAST).values():
        for name, effect in one["effects"].items() if not one["alarm"] else ():
            effects.setdefault(("prediction", name), []).append(effect)
    usual = Past(effects=effects, alpha=ALPHA)
    # What is usual knows how alike rows of a day are; until then they count as the day that they are.
    clusters = None
    if clock is not None and usual.pairs < MIN_PAIRS:
        clusters = (days_of(sides[0], clock), days_of(sides[1], clock))
    tests = drift(before, after, tolerance=tolerance, clusters=clusters, past=usual)
    told = of_drift(tests, columns=1, more={"past_pairs": usual.pairs, "champion": entry.model.digest})
    alarm = told.verdict != "pass" and usual.pairs >= MIN_PAIRS
    return replace(told, measured={"effects": {test.test: test.effect for test in tests}, "alarm": alarm})


def _together(seen: Seen, digests: Sequence[str]) -> "pl.DataFrame":
    import polars as pl

    return pl.concat([read_frame(seen.workspace.store, digest) for digest in digests])


def _clock(frame: "pl.DataFrame") -> str | None:
    """Return the column of the event time."""
    return next((name for name, kind in frame.schema.items() if kind.is_temporal()), None)
