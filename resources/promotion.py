"""Owns the last gate: the alias moves only for a model whose report is signed, passing and about this very model.

It stands inside `deploy`, so ad-hoc runs and automation, which skip the blocking checks of other runs, meet it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from resources.canonical import canonical_json
from resources.errors import GateError
from resources.refs import GateReport, ModelRef
from resources.registry import Entry, Registry
from resources.training.bundle import read_bundle
from resources.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What `deploy` did.

    Attributes:
        action: `promoted`: the alias moved; `kept`: a champion of a later partition stays; `unchanged`: the
            challenger already is champion.
        champion: The model in force afterwards.
        entry: Registry entry that put it in force.
        reason: Why, in plain words.
    """

    action: Literal["promoted", "kept", "unchanged"]
    champion: ModelRef
    entry: Entry
    reason: str


def promote(
    workspace: Workspace,
    report: GateReport,
    challenger: ModelRef,
    *,
    pipeline: str,
    gate: Mapping[str, Any],  # Any: JSON values
) -> Promotion:
    """Make `challenger` champion of `pipeline` if `report` allows it.

    Args:
        workspace: Where model and registry lie.
        report: The judgement of the challenger.
        challenger: The model.
        pipeline: Name of the pipeline.
        gate: The declared gate, as JSON.

    Raises:
        GateError: If the report is about another model or pipeline, was judged by another gate, does not pass, compared
            with a champion no longer in force, or the model was rolled back.
        SignatureError: If the report or the bundle is unsigned, altered or signed by an unknown key.
        StoreError: If the bundle is damaged or incomplete.
        ConflictError: If another writer moved the alias meanwhile.
    """
    _verify(workspace, report, challenger, pipeline=pipeline, gate=gate)
    registry = workspace.registry(pipeline)
    head, entry = registry.head(), registry.champion()
    if entry is not None and entry.model.digest == challenger.digest:
        return _outcome("unchanged", entry, "this model already is champion")
    if entry is not None and entry.partition > report.partition:
        return _outcome(
            "kept",
            entry,
            f"the champion is newer: it was judged on {entry.partition}, this model on {report.partition}",
        )
    _refuse_unfit(registry, report, challenger, entry)
    moved = registry.promote(
        challenger,
        partition=report.partition,
        report=report.digest,
        expected_head=head,
        reason="; ".join(report.reasons[:2]),
    )
    return _outcome("promoted", moved, report.reasons[0])


def _verify(
    workspace: Workspace,
    report: GateReport,
    challenger: ModelRef,
    *,
    pipeline: str,
    gate: Mapping[str, Any],  # Any: JSON values
) -> None:
    """Check that the report is signed, current, passing and about this model, whose bundle is signed and whole."""
    workspace.keyring.verify("report", report.digest, report.signature, report.key_id)
    again = "materialize `evaluation` again, then `deployment`"
    if report.challenger != challenger.digest:
        raise GateError(f"the gate report judges model {report.challenger[:12]}, not {challenger.digest[:12]}: {again}")
    bundle = read_bundle(workspace.store, challenger.digest, keyring=workspace.keyring)
    for what, owner in (("gate report", report.pipeline), ("model", bundle.lineage["pipeline"])):
        if owner != pipeline:
            raise GateError(f"the {what} is of pipeline {owner!r}, not {pipeline!r}: {again}")
    if canonical_json(report.gate) != canonical_json(gate):
        raise GateError(f"the model was judged by another gate than the declared one: {again}")
    if not report.may_deploy:
        raise GateError(f"the gate says {report.verdict}: {'; '.join(report.reasons)}. The champion stays as it is")


def _refuse_unfit(registry: Registry, report: GateReport, challenger: ModelRef, champion: Entry | None) -> None:
    in_force = champion.model.digest if champion is not None else None
    if report.champion != in_force:
        raise GateError(
            f"the report compared with champion {_short(report.champion)}, but {_short(in_force)} is in force now: "
            "materialize `evaluation` again, then `deployment`"
        )
    if challenger.digest in registry.rolled_back():
        raise GateError(
            f"model {challenger.digest[:12]} was rolled back: put it back with "
            f"`penstock rollback {report.pipeline} --to {challenger.digest[:12]}`, or train one on newer data"
        )


def _outcome(action: Literal["promoted", "kept", "unchanged"], entry: Entry, reason: str) -> Promotion:
    return Promotion(action=action, champion=entry.model, entry=entry, reason=reason)


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"
