"""Owns what a person may type to name a thing in the store: a digest, its first digits, a pipeline, an asset.

`bike_demand` is its champion; `resources.storage.naming` knows the assets.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.names import declared_names
from pipelines.summary import check_known, known_pipelines
from resources.canonical import parse_json
from resources.errors import IntegrityError, ObjectMissing
from resources.refs import ModelRef
from resources.registry import Entry
from resources.storage.naming import of_asset
from resources.storage.objects import get_object
from resources.storage.provenance import resolve
from resources.workspace import Workspace

Kind = Literal["model", "report", "dataset", "folder", "source"]


@dataclass(frozen=True, slots=True)
class Named:
    """What a text named: its digest and what it is."""

    digest: str
    kind: Kind


def named(workspace: Workspace, text: str) -> Named:
    """Return what `text` names.

    Raises:
        ObjectMissing: If it names nothing, or more than one thing.
    """
    if "/" in text:
        return _asset(workspace, text)
    if _is_pipeline(workspace, text):
        return Named(champion(workspace, text).digest, "model")
    try:
        digest = resolve(workspace.store, text)
    except ObjectMissing as error:
        if text in declared_names(workspace.settings):
            check_known(workspace, text)
        raise ObjectMissing(
            f"{error}. A name is a digest, its first digits, a pipeline (its champion), or an asset such as "
            "bike_demand/raw@2012-01"
        ) from None
    return Named(digest, kind_of(workspace, digest))


def model_named(workspace: Workspace, text: str) -> str:
    """Return the digest of the model that `text` names.

    Raises:
        ObjectMissing: If it names nothing, or something that is no model.
    """
    found = named(workspace, text)
    if found.kind != "model":
        raise ObjectMissing(f"{text!r} names a {found.kind}, not a model: see `penstock models PIPELINE`")
    return found.digest


def champion(workspace: Workspace, pipeline: str) -> ModelRef:
    """Return the champion of `pipeline`.

    Raises:
        ObjectMissing: If it has none.
    """
    return champion_entry(workspace, pipeline).model


def champion_entry(workspace: Workspace, pipeline: str) -> Entry:
    """Return the registry entry that made the champion of `pipeline` what it is.

    Raises:
        ObjectMissing: If there is none.
    """
    check_known(workspace, pipeline)
    entry = workspace.registry(pipeline).champion()
    if entry is None:
        raise ObjectMissing(
            f"pipeline {pipeline!r} has no champion in registry {workspace.registry_name!r} yet: the gate let no model "
            f"pass; see `penstock summary {pipeline}`"
        )
    return entry


def kind_of(workspace: Workspace, digest: str) -> Kind:
    """Return what the object `digest` is; the digest of a raw file is no object, but a source."""
    try:
        data = get_object(workspace.store, digest)
    except ObjectMissing:
        return "source"
    try:
        value: Any = parse_json(data)  # Any: JSON of several kinds
    except ValueError:
        return "source"
    if not isinstance(value, dict):
        raise IntegrityError(f"object {digest[:12]} is neither model, report nor dataset: name another")
    if value.get("kind") in ("bundle", "folder"):
        return "model" if value["kind"] == "bundle" else "folder"
    return "report" if "verdict" in value and "challenger" in value else "dataset"


def _is_pipeline(workspace: Workspace, text: str) -> bool:
    return text in known_pipelines(workspace)


def _asset(workspace: Workspace, text: str) -> Named:
    asset, _, version = text.partition("@")
    digest = of_asset(workspace.store, workspace.registry_name, asset, version)
    return Named(digest, kind_of(workspace, digest))
