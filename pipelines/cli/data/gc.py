"""`penstock data gc`: delete what nothing needs any more."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from resources.storage.garbage.collect import Foreseen
    from resources.storage.garbage.explain import Explained
    from resources.storage.garbage.multipart import Upload

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing: explain what is kept and what would go.")
    ] = False,
    grace: Annotated[
        str,
        typer.Option("--grace", metavar="DURATION", help="How long garbage stays at least, as 90m, 24h or 7d; or 0."),
    ] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Delete what no ref, model, pin or running job needs, nor the lineage of a model.

    In two phases, so that jobs may run beside it: one run marks, one at least --grace later deletes what nobody wanted
    meanwhile, and marks anew. Run it once a day. It looks at your own store only, never at a base store.
    """
    from datetime import UTC, datetime

    from pipelines.cli.console import print_json
    from pipelines.cli.opened import workspace
    from pipelines.retention import RETENTION
    from resources.storage.garbage.collect import collect, foresee
    from resources.storage.garbage.explain import explain
    from resources.storage.garbage.multipart import abort
    from resources.storage.layered import own_layer
    from resources.storage.lifecycle.cycle import retaining

    opened, grace_s, now = workspace(), duration_s(grace), datetime.now(UTC)
    store = own_layer(opened.store)
    # With an archive, what nothing needs has to get there first: `penstock/lifecycle` sees to that.
    retained = retaining(store, RETENTION, now) if opened.settings.archive else None
    foreseen = foresee(store, grace_s=grace_s, now=now, retained=retained)
    explained = explain(store, foreseen.there, foreseen.dead, foreseen.alive)
    uploads, untold = _unfinished(store.url)
    told = _told(foreseen, explained, uploads) | {"dry_run": dry_run, "grace_s": grace_s, "uploads_untold": untold}
    if not dry_run:
        done = collect(store, grace_s=grace_s, now=now, retained=retained)
        for upload in uploads:
            abort(store.url, upload)
        told |= _done(done.deleted, done.marked, done.due)
    if as_json:
        print_json(told)
    else:
        _print(told, explained)


def duration_s(text: str) -> float:
    """Return a duration in seconds.

    >>> duration_s("90m"), duration_s("7d"), duration_s("0")
    (5400.0, 604800.0, 0.0)
    """
    number, unit = (text[:-1], text[-1]) if text and text[-1] in _UNITS_S else (text, "s" if text == "0" else "")
    if not number.isdecimal() or not unit:
        raise typer.BadParameter(f"{text!r} is no duration: give 90m, 24h, 7d, or 0", param_hint="--grace")
    return float(int(number) * _UNITS_S[unit])


def _unfinished(url: str) -> "tuple[list[Upload], str]":
    """Return the orphaned uploads, or why they cannot be told: some keys may not list them, which ends nothing else."""
    from resources.errors import StoreError
    from resources.storage.garbage.multipart import orphans

    try:
        return orphans(url), ""
    except StoreError as error:
        return [], str(error)


def _told(foreseen: "Foreseen", explained: "Explained", uploads: "list[Upload]") -> dict[str, Any]:  # Any: JSON values
    from dataclasses import asdict

    return {
        **asdict(explained),
        **_done(
            {key: foreseen.dead[key] for key in foreseen.now},
            {key: size for key, size in foreseen.dead.items() if key not in set(foreseen.now)},
            foreseen.due,
        ),
        "uploads": [{"key": upload.key, "begun": upload.begun.isoformat()} for upload in uploads],
    }


def _done(deleted: dict[str, int], marked: dict[str, int], due: Any) -> dict[str, Any]:  # Any: a time; JSON values
    return {
        "deleted": {"files": len(deleted), "size_bytes": sum(deleted.values())},
        "marked": {"files": len(marked), "size_bytes": sum(marked.values())},
        "due": due.isoformat(timespec="seconds") if due else None,
    }


_KEPT = {
    "ref": "current values of assets",
    "model": "champions, past ones too",
    "lineage": "what models were made from",
    "pin": "pinned",
    "job": "read by running jobs",
    "retention": "until it is archived or expires",
}


def _print(told: dict[str, Any], explained: "Explained") -> None:  # Any: JSON values
    from pipelines.cli.console import print_table, short
    from resources.wording import size

    rows = [(_KEPT[item.kind], f"{item.versions:,}", size(item.size_bytes)) for item in explained.kept]
    print_table(("kept because", "versions", "size"), rows, right=("versions", "size"))
    print()
    if explained.dead:
        lines = [
            (short(item.digest), item.kind, item.name or "-", size(item.size_bytes), item.why)
            for item in explained.dead
        ]
        print_table(("garbage", "kind", "what", "size", "why"), lines, right=("size",))
    for item in explained.kept:
        if item.kind in ("pin", "job"):
            for name in item.names:
                print(f"kept, {_KEPT[item.kind]}: {name}")
    if explained.loose:
        print(
            f"{explained.loose:,} files of no version ({size(explained.loose_bytes)}): of failed or unfinished writes"
        )
    for digest, name in sorted(explained.missing.items()):
        print(f"not in this store: {short(digest)}, needed by {name}")
    would = "would be " if told["dry_run"] else ""
    deleted, marked = told["deleted"], told["marked"]
    print(f"{would}deleted: {deleted['files']:,} files, {size(deleted['size_bytes'])}")
    later = f", to be deleted by a run after {told['due']}" if told["due"] else ""
    print(f"{would}marked: {marked['files']:,} files, {size(marked['size_bytes'])}{later}")
    if told["uploads"]:
        print(f"{would}aborted: {len(told['uploads']):,} uploads that were begun over a day ago and never completed")
    if told["uploads_untold"]:
        print(told["uploads_untold"])
    if told["grace_s"] == 0:
        print("--grace 0: right only while nothing else writes to this store; a job that runs may have to run again")
