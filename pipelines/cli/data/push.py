"""`penstock data push`: offer a result to another store as a candidate."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.data.show import NAME_HELP

if TYPE_CHECKING:
    from resources.refs import Ref
    from resources.storage.push import Pushed
    from resources.storage.store import Store
    from resources.workspace import Workspace


def push(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Store to offer it to; the base store by default.")
    ] = None,
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Name of the candidate; by default that of the result.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was copied as JSON.")] = False,
) -> None:
    """Offer a result to the base store, or another, as a candidate.

    Copies the version and all it was made of, as far as it is not there, and moves the ref candidates/NAME. Champions
    and values of the other side stay as they are. Stopped at any moment, it goes on from there when run again.
    """
    from pipelines.cli.console import print_json
    from pipelines.cli.opened import workspace
    from resources.storage import refs
    from resources.storage.push import push as copy

    opened = workspace()
    asset, partition, ref = _chosen(opened, name)
    if as_name is not None:
        asset, partition = _split(as_name)
    target = _target(opened, to)
    beside = [digest for field in _BESIDE if (digest := getattr(ref, field, None)) is not None]
    done = copy(opened.store, target, ref.digest, beside=beside, scratch=opened.scratch)
    refs.save(target, refs.CANDIDATES, asset, partition, _moved(ref, target))
    title = "/".join((refs.CANDIDATES, *asset)) + (f"@{partition}" if partition else "")
    if as_json:
        print_json({"candidate": title, "digest": ref.digest, "store": target.url, **asdict(done)})
    else:
        _tell(done, title, ref.digest, target)


_BESIDE = ("quarantine_digest", "report_digest", "profile_digest")


def _tell(done: "Pushed", title: str, digest: str, target: "Store") -> None:
    from pipelines.cli.console import short
    from resources.wording import size

    copied, there = len(done.copied), len(done.there)
    print(f"{title} in store {target.url} is {short(digest)} now.")
    print(f"  copied {copied:,} versions ({done.copied_files:,} files and records, {size(done.copied_bytes)})")
    print(f"  {there:,} versions were there already")
    if done.absent:
        print(f"  not copied, since they are not here any more: {', '.join(map(short, done.absent))}")
    print(f"  whoever uses that store finds it by: penstock data show {title}")


def _chosen(opened: "Workspace", text: str) -> "tuple[tuple[str, ...], str | None, Ref]":
    """Return what `text` names, as asset, partition and value."""
    from pipelines.cli.naming import champion, named
    from pipelines.summary import known_pipelines
    from resources.storage import refs

    if "/" in text:
        asset, partition = _split(text)
        registry = opened.registry_name
        if asset[0] == refs.CANDIDATES:
            registry, asset = refs.CANDIDATES, asset[1:]
        return asset, partition, refs.load(opened.store, registry, asset, partition)
    if text in known_pipelines(opened):
        return (text,), None, champion(opened, text)
    digest = named(opened, text).digest
    return (digest[:12],), None, _value(opened, digest)


def _value(opened: "Workspace", digest: str) -> "Ref":
    """Return the value that a digest stands for: that of a ref, or what the manifest of a dataset tells."""
    from resources.errors import ObjectMissing
    from resources.storage import refs
    from resources.storage.datasets import reference
    from resources.storage.versions import kind_of_version

    for name in refs.listed(opened.store):
        ref = refs.load(opened.store, name.registry, name.asset, name.partition)
        if ref.digest == digest:
            return ref
    if kind_of_version(opened.store, digest) == "dataset":
        return reference(opened.store, digest)
    raise ObjectMissing(
        f"no asset has the version {digest[:12]}, so what it is for is not known: name an asset such as "
        "bike_demand/model@2012-01, or a pipeline"
    )


def _split(text: str) -> tuple[tuple[str, ...], str | None]:
    name, _, partition = text.partition("@")
    asset = tuple(name.split("/"))
    if not all(asset):
        raise typer.BadParameter(f"{text!r} is no name: give NAME, NAME/NAME or NAME@PARTITION")
    return asset, partition or None


def _target(opened: "Workspace", url: str | None) -> "Store":
    from resources.errors import SettingsError
    from resources.workspace import base_store_of, other_store

    target = base_store_of(opened.settings) if url is None else other_store(opened.settings, url)
    if target is None:
        raise SettingsError("there is no store to push to: give --to URL, or set PENSTOCK_BASE_STORE")
    return target


def _moved(ref: "Ref", target: "Store") -> "Ref":
    from dataclasses import replace

    from resources.refs import GateReport

    return ref if isinstance(ref, GateReport) else replace(ref, location=target.url)
