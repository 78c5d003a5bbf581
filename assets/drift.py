"""Owns the drift check of `features`: what it compares with.

With time partitions it reads no rows: the profiles of the window are merged, and judged as `drift_check` judges them.
Without it compares rows with those that the champion was trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assets.checks.compared import DriftRule, against_the_past, of_drift, window_of
from assets.checks.drift import days_of
from assets.partitions import Window
from assets.preprocess import Features
from assets.stage import Stage
from assets.told import Told
from quality.anomalies.calendar import CADENCES
from quality.healthy import left_out
from resources.canonical import parse_json
from resources.health import flagged_features
from resources.refs import DatasetRef
from resources.storage import refs
from resources.storage.datasets import read_frame
from resources.storage.objects import get_object
from resources.transform.preprocess import BUCKET
from resources.workspace import Workspace

if TYPE_CHECKING:
    from quality.profile import Profile

PAST_PARTITIONS = 36
"""Earlier partitions whose distances from their own windows tell what is usual."""
_NOTHING = "nothing to compare with: no earlier features"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Earlier features.

    Attributes:
        usual: Partition to the features that tell what is usual, oldest first; see `quality.healthy`.
        flagged: Partitions that checks flagged, of `usual` or not.
    """

    usual: Mapping[str, DatasetRef]
    flagged: frozenset[str]


def drift_against_the_past(
    workspace: Workspace, stage: Stage, spec: Features, ref: DatasetRef, *, window: Window | None, partition: str | None
) -> Told:
    """Compare features and label with the training window before them, partitions that were flagged left out.

    Without time partitions the reference is the features that the champion was trained on.
    """
    if partition is None or window is None:
        champion = workspace.registry(stage.pipeline).champion()
        return _by_rows(workspace, spec, ref, dict(champion.model.training_digests) if champion else {})
    place = (workspace.store, workspace.registry_name, stage.key.path)
    earlier = refs.earlier(*place, DatasetRef, before=partition, most=PAST_PARTITIONS + window.partitions)
    known = _known(workspace, stage, spec, earlier)
    told = _by_profiles(workspace, spec, ref, known, window.partitions)
    return replace(told, shown={**told.shown, "left_out": len(earlier) - len(known.usual)})


def _known(workspace: Workspace, stage: Stage, spec: Features, earlier: Mapping[str, DatasetRef]) -> _Known:
    found = flagged_features(workspace.store, workspace.registry_name, stage.pipeline, earlier)
    flagged = found - set(spec.drift_accepted)
    every = stage.partitions.every if stage.partitions else "monthly"
    patience = spec.drift_patience or CADENCES[every].patience
    gone = left_out([key in flagged for key in earlier], patience=patience)
    usual = {key: item for (key, item), out in zip(earlier.items(), gone, strict=True) if not out}
    return _Known(usual=usual, flagged=flagged)


def _by_profiles(workspace: Workspace, spec: Features, ref: DatasetRef, known: _Known, window: int) -> Told:
    """Compare profiles.

    How far a flagged partition lay from its window is no example of what is usual, even where it is part of it by now.
    """
    before = [_profile(workspace, item) for item in known.usual.values()]
    against = window_of(before, window)
    if against is None:
        return Told(verdict="pass", reason=_NOTHING)
    current = _profile(workspace, ref)
    kinds = {name: column.kind for name, column in current.columns.items() if name in against.columns}
    rule = DriftRule(window=window, tolerance=spec.drift_tolerance, gross=spec.drift_gross)
    taught = [key not in known.flagged for key in known.usual]
    names = _compared(spec, kinds)
    told, _ = against_the_past(current, before, taught, against=against, names=names, rule=rule)
    return told


def _by_rows(workspace: Workspace, spec: Features, ref: DatasetRef, reference: dict[str, str]) -> Told:
    if not reference:
        return Told(verdict="pass", reason=_NOTHING)

    import polars as pl

    from quality.drift import drift
    from quality.profiles.columns import kind_of

    current = read_frame(workspace.store, ref.digest)
    kinds = {name: kind_of(kind) for name, kind in current.schema.items()}
    columns, times = _compared(spec, kinds), [name for name, kind in kinds.items() if kind == "time"]
    before = pl.concat([read_frame(workspace.store, reference[key], [*columns, *times]) for key in sorted(reference)])
    # Hours of a day are alike: they count as the days they are, not as independent rows.
    days = (days_of(before, times[0]), days_of(current, times[0])) if times else None
    tests = drift(before, current, columns=columns, tolerance=spec.drift_tolerance, clusters=days)
    return of_drift(tests, columns=len(columns))


def _compared(spec: Features, kinds: dict[str, Any]) -> list[str]:
    left_out = {BUCKET, *spec.drift_ignore}
    return [name for name, kind in kinds.items() if name not in left_out and kind not in ("time", "other")]


def _profile(workspace: Workspace, item: DatasetRef) -> "Profile":
    """Return the profile that was stored; of features without one, or with one of an older form, it is made anew."""
    from quality.profile import Profile, profile

    if item.profile_digest is not None:
        found = Profile.from_json(parse_json(get_object(workspace.store, item.profile_digest)))
        if found.comparable:
            return found
    return profile(read_frame(workspace.store, item.digest))
