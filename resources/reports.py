"""Owns the reports of partitions: each stage and check keeps its section in the store, a report is all of them.

It also owns where the page of a report lies on this host, and its address at the server of reports, which are alike.

A section is written over when its stage or check runs again. Sections are no roots and no truths: what they tell is
found in datasets, refs and signed reports.
"""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from quality.report import Report, Section, in_order
from quality.report_page import page
from resources.durable import write_text
from resources.errors import ObjectMissing, StoreError
from resources.settings import Settings
from resources.stages import STAGES
from resources.storage import refs
from resources.storage.cache.locks import locked
from resources.storage.garbage.roots import read_all
from resources.storage.layered import own_layer
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal
from resources.workspace import Workspace

FOLDER = "reports"
DATA_DOCS = Path("gx", "uncommitted", "data_docs", "local_site")
"""Where Great Expectations puts its Data Docs, within the folder of its project."""
WHOLE = "all"
"""Stands for the partition where there are none."""
DOCS_END = "-data-docs"
MARKS = "flags"
"""Folder of marks: which checks did not pass which partitions. They are hints, see `marked`."""
_STAGE = "stage"
_CHECK = "check-"
_REMEDY = "free some room, or set PENSTOCK_HOME"
_PATIENCE_S = 60.0


def keep_section(store: Store, registry: str, pipeline: str, partition: str | None, section: Section) -> None:
    """Keep a section in the place of the one that the same stage or check wrote before.

    A check that objects leaves a mark first, so that a listing of marks finds every section that may object.
    """
    if _objects(section):
        store.put(_mark(registry, pipeline, partition, section), b"1")
    store.put(_place(registry, pipeline, partition, section.stage, section.check), seal(section.to_json()))


def section_of(
    store: Store, registry: str, pipeline: str, partition: str | None, stage: str, *, check: str = ""
) -> Section | None:
    """Return what a stage or a check last said of a partition; None where it said nothing, or that is damaged."""
    with suppress(ObjectMissing):
        return _read(store, _place(registry, pipeline, partition, stage, check))
    return None


def marked(store: Store, registry: str, pipeline: str, stage: str, check: str) -> frozenset[str | None]:
    """Return the partitions of which a check may have said that they do not pass; its section tells what it says now.

    Sections that were kept before there were marks get theirs first, once in a store.
    """
    _mark_all(store, registry, pipeline)
    keys = store.list(f"{_marks(registry, pipeline)}/{quote(f'{stage}/{check}')}")
    return frozenset(refs.partition_of(key.rpartition("/")[2]) for key in keys)


def _mark_all(store: Store, registry: str, pipeline: str) -> None:
    done = f"{_marks(registry, pipeline)}/complete"
    own = own_layer(store)
    if own.exists(done):
        return
    old = own if store.exists(done) else store  # where a base has its marks, one's own sections are left
    keys = [key for key in old.list(f"{FOLDER}/{registry}/{pipeline}") if f"/{_CHECK}" in key]
    for key, section in read_all(store, keys, _read):
        if section is not None and _objects(section):
            store.put(_mark(registry, pipeline, refs.partition_of(key.split("/")[3]), section), b"1")
    own.put(done, b"1")


def _objects(section: Section) -> bool:
    return bool(section.check) and section.verdict not in (None, "pass")


def report_of(store: Store, registry: str, pipeline: str, partition: str | None) -> Report:
    """Return what the stages and checks of a partition wrote; a section that is damaged is left out.

    Raises:
        ObjectMissing: If none did.
    """
    keys = store.list(_folder(registry, pipeline, partition))
    sections = [section for _, section in read_all(store, keys, _read) if section is not None]
    if not sections:
        where = f" partition {partition}" if partition else ""
        raise ObjectMissing(
            f"no report of pipeline {pipeline!r}{where} in registry {registry!r} of store {store.url}: run it first, "
            f"penstock run {pipeline}{f' --partition {partition}' if partition else ''}"
        )
    return Report(pipeline=pipeline, partition=partition or "", registry=registry, sections=in_order(sections, STAGES))


def _read(store: Store, key: str) -> Section | None:
    with suppress(ValueError, KeyError, TypeError):
        return read_verified(store, key, lambda data: Section.from_json(unseal(data)))
    return None


def reported_pipelines(store: Store) -> list[tuple[str, str]]:
    """Return registry and name of every pipeline that has a report, sorted; no report is listed for it."""
    return [(registry, name) for registry in store.folders(FOLDER) for name in store.folders(f"{FOLDER}/{registry}")]


def reported_partitions(store: Store, registry: str, pipeline: str) -> list[str | None]:
    """Return the partitions that have a report, the newest first; None where there are no partitions."""
    places = store.folders(f"{FOLDER}/{registry}/{pipeline}")
    return [refs.partition_of(place) for place in sorted(places, reverse=True)]


def page_name(partition: str | None) -> str:
    """Return the name of the page of a partition, as a file and in a URL."""
    return f"{quote(partition, safe='') if partition else WHOLE}.html"


def page_path(workspace: Workspace, pipeline: str, partition: str | None) -> Path:
    """Return where the page of a partition's report lies on this host."""
    folder = workspace.settings.home / "reports" / quote(workspace.registry_name, safe="") / pipeline
    return folder / page_name(partition)


def page_url(workspace: Workspace, pipeline: str, partition: str | None) -> str | None:
    """Return the address of the page of a partition's report, or None where the settings name no server of reports."""
    served = pipeline_url(workspace.settings, pipeline, registry=workspace.registry_name)
    return None if served is None else f"{served}{page_name(partition)}"


def pipeline_url(settings: Settings, pipeline: str, *, registry: str = "") -> str | None:
    """Return the address of the list of a pipeline's reports, or None where the settings name no server of reports."""
    if settings.reports_url is None:
        return None
    return f"{settings.reports_url}/{quote(registry or settings.registry, safe='')}/{pipeline}/"


def docs_folder(path: Path) -> Path:
    """Return the folder of the Great Expectations project whose Data Docs the page at `path` leads to."""
    return path.with_name(f"{path.stem}{DOCS_END}")


def renew_page(workspace: Workspace, pipeline: str, partition: str | None) -> Path:
    """Write the page of what the store holds of a partition, and return where it lies.

    Checks of one partition may run at a time in several processes. One after the other reads and writes, so that the
    last page has the sections of all.

    Raises:
        StoreError: If the sections cannot be read, or the page not be written.
    """
    path = page_path(workspace, pipeline, partition)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock"), patience_s=_PATIENCE_S):
            write_page(path, report_of(workspace.store, workspace.registry_name, pipeline, partition))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; {_REMEDY}") from error
    return path


def write_page(path: Path, report: Report) -> None:
    """Write the page of a report to `path`.

    Raises:
        StoreError: If it cannot be written.
    """
    write_text(path, page_text(path, report), remedy=_REMEDY)


def page_text(path: Path, report: Report) -> str:
    """Return the page of a report as it is at `path`: with a link to the Data Docs beside it if they are there."""
    index = docs_folder(path) / DATA_DOCS / "index.html"
    link = quote(index.relative_to(path.parent).as_posix()) if index.is_file() else ""
    return page(report, data_docs=link)


def _marks(registry: str, pipeline: str) -> str:
    return f"{MARKS}/{registry}/{pipeline}"


def _mark(registry: str, pipeline: str, partition: str | None, section: Section) -> str:
    return f"{_marks(registry, pipeline)}/{quote(f'{section.stage}/{section.check}')}/{refs.name_of(partition)}"


def _place(registry: str, pipeline: str, partition: str | None, stage: str, check: str) -> str:
    name = f"{stage}/{f'{_CHECK}{check}' if check else _STAGE}.json"
    return f"{_folder(registry, pipeline, partition)}/{quote(name)}"


def _folder(registry: str, pipeline: str, partition: str | None) -> str:
    return f"{FOLDER}/{registry}/{pipeline}/{refs.name_of(partition)}"
