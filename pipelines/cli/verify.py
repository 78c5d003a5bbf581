"""`penstock verify`: whether a report or model is signed by a trusted key and unaltered."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resources.workspace import Workspace


def verify(
    name: Annotated[
        str, typer.Argument(help="Digest or first digits of a gate report or model, or a pipeline (champion and log).")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was verified as JSON.")] = False,
) -> None:
    """Verify signature and bytes of a gate report or model.

    A pipeline's name verifies its registry log, its champion and the report that the champion was promoted by.
    Exit codes: 0 verified; 1 not to be trusted, with the reason.
    """
    from pipelines.cli.console import print_json, print_pairs
    from pipelines.cli.opened import workspace
    from pipelines.summary import known_pipelines
    from resources.errors import ObjectMissing

    opened = workspace()
    verified: list[dict[str, Any]] = []  # Any: JSON values
    if name in known_pipelines(opened):
        verified += _pipeline(opened, name)
    else:
        from pipelines.cli.naming import named

        found = named(opened, name)
        if found.kind not in ("model", "report"):
            raise ObjectMissing(f"{name!r} names a {found.kind}: only gate reports and models are signed")
        verified.append((_model if found.kind == "model" else _report)(opened, found.digest))
    if as_json:
        print_json(verified)
        return
    for item in verified:
        print_pairs({key: str(value) for key, value in item.items()})
        print("verified: every byte matches its digest, the signature is that of a trusted key")


def _pipeline(opened: "Workspace", name: str) -> list[dict[str, Any]]:  # Any: JSON values
    from pipelines.cli.naming import champion_entry

    entry = champion_entry(opened, name)
    log: dict[str, Any] = {
        "registry": f"{opened.registry_name}/{name}",
        "entries": entry.sequence,
        "head": entry.digest,
    }
    reports = [_report(opened, entry.report)] if entry.report else []
    return [log, _model(opened, entry.model.digest), *reports]


def _model(opened: "Workspace", digest: str) -> dict[str, Any]:  # Any: JSON values
    from resources.signing import verify_object
    from resources.training.bundle import KIND, read_bundle

    key_id = verify_object(opened.store, KIND, digest, opened.keyring)
    bundle = read_bundle(opened.store, digest, keyring=opened.keyring)
    return {
        "model": digest,
        "pipeline": bundle.lineage["pipeline"],
        "files": ", ".join(sorted(bundle.files)),
        "code_version": bundle.lineage["code_version"],
        "signed_by": key_id,
    }


def _report(opened: "Workspace", digest: str) -> dict[str, Any]:  # Any: JSON values
    from resources.canonical import parse_json
    from resources.signing import verify_object
    from resources.storage.objects import get_object

    key_id = verify_object(opened.store, "report", digest, opened.keyring)
    report = parse_json(get_object(opened.store, digest))
    return {
        "report": digest,
        "pipeline": report["pipeline"],
        "partition": report["partition"] or "(holdout)",
        "verdict": report["verdict"],
        "reasons": "; ".join(report["reasons"]),
        "challenger": report["challenger"],
        "champion": report["champion"] or "(none)",
        "signed_by": key_id,
    }
