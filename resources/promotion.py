"""Owns the last gate: the alias moves only for a model whose report is signed, passing and about this very model.

It stands inside `deploy`, so ad-hoc runs and automation, which skip the blocking checks of other runs, meet it too.
"""

from dataclasses import dataclass
from typing import Literal

from resources.errors import GateError
from resources.refs import GateReport, ModelRef
from resources.registry import Entry, Registry
from resources.signing import verify_object
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


def promote(workspace: Workspace, report: GateReport, challenger: ModelRef) -> Promotion:
    """Make `challenger` champion if `report` allows it.

    Raises:
        GateError: If the report is about another model, does not pass, judged against a champion no longer
            in force, or the model was rolled back.
        SignatureError: If the report or the bundle is unsigned, altered or signed by an unknown key.
        ConflictError: If another writer moved the alias meanwhile.
    """
    verify(workspace, report, challenger)
    registry = workspace.registry(report.pipeline)
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


def verify(workspace: Workspace, report: GateReport, challenger: ModelRef) -> None:
    """Check that `report` is signed by a trusted key, passes, and is about `challenger`, whose bundle is signed too.

    Raises:
        GateError: If it is about another model or does not pass.
        SignatureError: If a signature is missing, foreign or false.
    """
    workspace.keyring.verify("report", report.digest, report.signature, report.key_id)
    if report.challenger != challenger.digest:
        raise GateError(
            f"the gate report judges model {report.challenger[:12]}, not {challenger.digest[:12]}: "
            "materialize `evaluation` again, then `deployment`"
        )
    if not report.may_deploy:
        raise GateError(f"the gate says {report.verdict}: {'; '.join(report.reasons)}. The champion stays as it is")
    verify_object(workspace.store, "model", challenger.digest, workspace.keyring)


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
