"""Owns the reports of partitions in the store: each stage and each check keeps its section, a report is all of them.

A section is written over when its stage or check runs again. Sections are no roots and no truths: what they tell is
found in datasets, refs and signed reports.
"""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from quality.report import Report, Section, in_order
from quality.report_page import page
from resources.durable import write_text
from resources.errors import ObjectMissing
from resources.storage.garbage.roots import read_all
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal
from resources.workspace import Workspace

FOLDER = "reports"
STAGES = ("raw", "features", "model", "evaluation", "deployment")
_STAGE = "stage"


def keep_section(store: Store, registry: str, pipeline: str, partition: str | None, section: Section) -> None:
    """Keep a section in the place of the one that the same stage or check wrote before."""
    store.put(_place(registry, pipeline, partition, section.stage, section.check), seal(section.to_json()))


def section_of(
    store: Store, registry: str, pipeline: str, partition: str | None, stage: str, *, check: str = ""
) -> Section | None:
    """Return what a stage or a check last said of a partition; None where it said nothing, or that is damaged."""
    with suppress(ObjectMissing):
        return _read(store, _place(registry, pipeline, partition, stage, check))
    return None


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


def page_path(workspace: Workspace, pipeline: str, partition: str | None) -> Path:
    """Return where the page of a partition's report lies on this host."""
    folder = workspace.settings.home / "reports" / quote(workspace.registry_name, safe="") / pipeline
    return folder / f"{quote(partition, safe='') if partition else 'all'}.html"


def docs_folder(path: Path) -> Path:
    """Return the folder of the Great Expectations project whose Data Docs the page at `path` leads to."""
    return path.with_name(f"{path.stem}-data-docs")


def write_page(path: Path, report: Report) -> None:
    """Write the page of a report, with a link to the Data Docs beside it if they are there.

    Raises:
        StoreError: If it cannot be written.
    """
    text = page(report, data_docs=_data_docs(path))
    write_text(path, text, remedy="free some room, or set PENSTOCK_HOME")


def _data_docs(path: Path) -> str:
    index = docs_folder(path) / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    return quote(index.relative_to(path.parent).as_posix()) if index.is_file() else ""


def _place(registry: str, pipeline: str, partition: str | None, stage: str, check: str) -> str:
    name = f"{stage}/{f'check-{check}' if check else _STAGE}.json"
    return f"{_folder(registry, pipeline, partition)}/{quote(name)}"


def _folder(registry: str, pipeline: str, partition: str | None) -> str:
    place = f"p{quote(partition, safe='')}" if partition else "_"  # as refs name it
    return f"{FOLDER}/{registry}/{pipeline}/{place}"
