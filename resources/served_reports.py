"""Owns what the server of reports answers: a path to a page, its JSON, a list, or a file of Data Docs; it only reads.

    /                                     the pipelines that have reports, by registry
    /REGISTRY/PIPELINE/                   their partitions, the newest first
    /REGISTRY/PIPELINE/PARTITION.html     a report, made of what the store holds now; .json is the same as a value
    /REGISTRY/PIPELINE/PARTITION-data-docs/...    Data Docs that lie beside the page on this host

A list shows 100 links, `?skip=100` the next ones; no more than its level of the store is listed for it. Paths become
keys of the store and names of files only after each of their parts was found harmless. It knows nothing of sockets;
`resources.report_server` does.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote

from quality.report_page import POLICY, links_page
from resources.errors import ObjectMissing, PenstockError
from resources.reports import (
    DATA_DOCS,
    DOCS_END,
    WHOLE,
    docs_folder,
    page_name,
    page_path,
    page_text,
    report_of,
    reported_partitions,
    reported_pipelines,
)
from resources.workspace import Workspace

_SHUT = "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
DOCS_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self'"
"""Data Docs ask for scripts and styles of other servers; here they get only what lies beside them."""
DOCS_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".otf": "font/otf",
}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_LONGEST_NAME = 200
LINKS = 100
"""Most links of one list."""
_SKIP = re.compile(r"skip=([0-9]{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered.

    Attributes:
        status: HTTP status.
        kind: Type of the content.
        body: The content.
        policy: What a browser may load for it.
        location: Where else to look, relative to the path; empty without.
    """

    status: HTTPStatus
    kind: str
    body: bytes
    policy: str = POLICY + _SHUT
    location: str = ""


def answer(workspace: Workspace, path: str, query: str = "") -> Answer:
    """Return what is answered to a `GET`.

    Args:
        workspace: Whose reports.
        path: The part of the URL between host and query, as it was sent.
        query: What follows the question mark; lists heed `skip=N`, anything else is as good as nothing.
    """
    parts = [unquote(part) for part in path.removeprefix("/").split("/")]
    asked = _SKIP.fullmatch(query)
    try:
        return _found(workspace, parts, skip=int(asked[1]) if asked else 0) or told(
            HTTPStatus.NOT_FOUND, "there is no such page; / lists the reports"
        )
    except ObjectMissing as error:
        return told(HTTPStatus.NOT_FOUND, str(error))
    except PenstockError as error:
        return told(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


def told(status: HTTPStatus, text: str) -> Answer:
    """Return an answer of a plain text."""
    return Answer(status=status, kind="text/plain; charset=utf-8", body=f"{text}\n".encode())


def _found(workspace: Workspace, parts: Sequence[str], *, skip: int) -> Answer | None:
    if list(parts) == [""]:
        return _pipelines(workspace, skip)
    if len(parts) < 2 or not all(_NAME.fullmatch(name) for name in parts[:2]):
        return None
    registry, pipeline, *rest = parts
    if not rest:
        return replace(told(HTTPStatus.PERMANENT_REDIRECT, "look below"), location=f"{pipeline}/")
    if rest == [""]:
        return _partitions(workspace, registry, pipeline, skip)
    there = replace(workspace, registry_name=registry)
    if len(rest) == 1:
        return _report(there, pipeline, rest[0])
    return _file(there, pipeline, rest)


def _pipelines(workspace: Workspace, skip: int) -> Answer | None:
    found = reported_pipelines(workspace.store)
    links = [(f"{registry} / {name}", f"{quote(registry)}/{quote(name)}/") for registry, name in found]
    return _list("Reports", f"store {workspace.store.url}", links, skip)


def _partitions(workspace: Workspace, registry: str, pipeline: str, skip: int) -> Answer | None:
    found = reported_partitions(workspace.store, registry, pipeline)
    links = [(partition or "all rows", page_name(partition)) for partition in found]
    return _list(pipeline, f"registry {registry}", links, skip) if links else None


def _list(title: str, note: str, links: Sequence[tuple[str, str]], skip: int) -> Answer | None:
    if skip and skip >= len(links):
        return None
    end = min(skip + LINKS, len(links))
    shown = note if len(links) <= LINKS else f"{note}, {skip + 1:,} to {end:,} of {len(links):,}"
    more = [("the ones before", f"?skip={max(0, skip - LINKS)}")] if skip else []
    more += [("the next ones", f"?skip={end}")] if end < len(links) else []
    return _html(links_page(title, shown, links[skip:end], more=more))


def _report(workspace: Workspace, pipeline: str, name: str) -> Answer | None:
    stem, dot, kind = name.rpartition(".")
    if not (dot and stem and kind in ("html", "json")) or "\0" in stem or len(stem) > _LONGEST_NAME:
        return None
    partition = None if stem == WHOLE else stem
    report = report_of(workspace.store, workspace.registry_name, pipeline, partition)
    if kind == "json":
        body = json.dumps(report.to_json(), ensure_ascii=False, sort_keys=True).encode()
        return Answer(status=HTTPStatus.OK, kind="application/json", body=body)
    return _html(page_text(page_path(workspace, pipeline, partition), report))


def _html(text: str) -> Answer:
    return Answer(status=HTTPStatus.OK, kind="text/html; charset=utf-8", body=text.encode())


def _file(workspace: Workspace, pipeline: str, parts: Sequence[str]) -> Answer | None:
    """Return a file of the Data Docs; of what else lies in the folder of their project nothing is shown."""
    project, *inner = parts
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts) or not project.endswith(DOCS_END):
        return None
    page = page_path(workspace, pipeline, None).with_name(f"{project.removesuffix(DOCS_END)}.html")
    site = (docs_folder(page) / DATA_DOCS).resolve()
    file = (docs_folder(page) / Path(*inner)).resolve()
    kind = DOCS_KINDS.get(file.suffix)
    if kind is None or not file.is_relative_to(site):
        return None
    try:
        body = file.read_bytes()
    except OSError:
        return None
    return Answer(status=HTTPStatus.OK, kind=kind, body=body, policy=DOCS_POLICY + _SHUT)
