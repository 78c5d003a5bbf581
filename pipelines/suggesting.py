"""Owns the way from partitions that ran to the rules that they suggest: which are healthy, and what they hold."""

from collections.abc import Collection, Mapping

from pipelines.summary import check_known, check_partitions
from quality.profile import Profile, profile
from quality.suggestions import MIN_PARTITIONS, Suggested, suggest
from resources.canonical import digest_value, parse_json
from resources.errors import ContractError
from resources.refs import DatasetRef
from resources.source.report import IngestReport
from resources.storage import refs
from resources.storage.datasets import scan
from resources.storage.manifest import read_manifest
from resources.storage.matrices import named_schema
from resources.storage.memo import REQUIRES, recall, remember
from resources.storage.objects import get_object
from resources.storage.store import Store
from resources.workspace import Workspace

MOST_PARTITIONS = 24
"""So many of the newest partitions are asked."""


def suggested_for(workspace: Workspace, pipeline: str, partitions: Collection[str] | None = None) -> Suggested:
    """Return what the healthy raw partitions of a pipeline suggest.

    Healthy is what the contract did not block. Their profiles are those that ingest stored.

    Args:
        workspace: Where they lie.
        pipeline: Name of the pipeline.
        partitions: Keys of those that are asked; by default the newest.

    Raises:
        ObjectMissing: If the pipeline, or one of the partitions, never ran.
        ContractError: If there are too few of them.
    """
    check_known(workspace, pipeline)
    check_partitions(workspace, pipeline, partitions or ())
    healthy = _healthy(workspace, pipeline, partitions)
    if len(healthy) < MIN_PARTITIONS:
        raise ContractError(
            f"pipeline {pipeline!r} has {len(healthy)} healthy partitions of its raw data: rules are suggested by "
            f"{MIN_PARTITIONS} or more; run more of them, penstock run {pipeline} --from KEY --to KEY"
        )
    newest = list(healthy.values())[-1]
    schema = named_schema(read_manifest(workspace.store, newest.digest).schema)
    return suggest({key: _profile(workspace.store, ref) for key, ref in healthy.items()}, schema)


def _healthy(workspace: Workspace, pipeline: str, only: Collection[str] | None) -> Mapping[str, DatasetRef]:
    place = (workspace.store, workspace.registry_name, (pipeline, "raw"))
    keys = [key for key in refs.partitions(*place) if only is None or key in only]
    found: dict[str, DatasetRef] = {}
    for key in keys if only else keys[-MOST_PARTITIONS:]:
        ref = refs.load(*place, key)
        if isinstance(ref, DatasetRef) and not _is_blocked(workspace.store, ref):
            found[key] = ref
    return found


def _is_blocked(store: Store, ref: DatasetRef) -> bool:
    if ref.report_digest is None:
        return False
    return IngestReport.from_json(parse_json(get_object(store, ref.report_digest))).blocked


def _profile(store: Store, ref: DatasetRef) -> Profile:
    """Return the profile that ingest stored; of a snapshot from before it did, one that is made and remembered."""
    if ref.profile_digest is not None:
        return Profile.from_json(parse_json(get_object(store, ref.profile_digest)))
    recipe = digest_value({"profile": 2, "dataset": ref.digest})
    known = recall(store, recipe)
    if known is not None:
        return Profile.from_json(known)
    made = profile(scan(store, ref.digest))
    remember(store, recipe, {**made.to_json(), REQUIRES: [ref.digest]})
    return made
