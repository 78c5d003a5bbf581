"""Owns the page of a report: one HTML file, pictures first, that loads nothing from anywhere.

Its policy forbids a browser to ask the network for anything, whatever a value in the data looks like.
"""

import json
from collections.abc import Sequence
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING

from quality.report import Entry, Report, Section

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
WORDS = {"pass": "passed", "warn": "warns", "inconclusive": "inconclusive", "block": "blocks"}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;color:#1b1b1b;"
    "background:#fff}h2{margin-top:2.2rem;border-bottom:2px solid #e4e7ec;padding-bottom:.2rem}"
    "h3{margin:1.4rem 0 .2rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4rem 0;display:block;overflow-x:auto}"
    "td,th{padding:.2rem .7rem;text-align:left;border-bottom:1px solid #e4e7ec;vertical-align:top}"
    "img{max-width:100%;height:auto}code,pre{font-size:.88em}pre{overflow-x:auto;background:#f6f7f9;padding:.6rem}"
    "summary{cursor:pointer;color:#1769aa;margin:.3rem 0}.note{color:#667085;font-size:.9em}"
    ".verdict{border-radius:1rem;padding:.1rem .7rem;font-size:.85em;color:#fff;white-space:nowrap}"
    ".pass{background:#2e7d32}.warn{background:#ad5f00}.inconclusive{background:#5b6472}.block{background:#c62828}"
    ".old{opacity:.55}"
)


def page(report: Report, *, data_docs: str = "") -> str:
    """Return the report as an HTML page.

    Args:
        report: The report.
        data_docs: Where Great Expectations' Data Docs of the suite lie, as a link from the page; empty without.
    """
    title = " ".join(part for part in (report.pipeline, report.partition) if part)
    stages = list(dict.fromkeys(section.stage for section in report.sections))
    text = (
        f"{_head(title)}<h1>{escape(title)} {_badge(report.verdict)}</h1>"
        f'<p class="note">registry {escape(report.registry)}{_link(data_docs)}</p>{_checks(report)}'
        f"{''.join(_stage(report, stage) for stage in stages)}</html>\n"
    )
    return text.encode(errors="replace").decode()  # halves of characters, which JSON may hold and no file


def links_page(title: str, note: str, links: Sequence[tuple[str, str]], *, more: Sequence[tuple[str, str]] = ()) -> str:
    """Return an HTML page that leads to others.

    Args:
        title: Its title.
        note: Said below the title.
        links: What is shown of each link, and where it leads, quoted as URLs are.
        more: Likewise, of the pages with the links that are not on this one.
    """
    items = "".join(f"<li>{_anchored(text, to)}</li>" for text, to in links)
    listed = f"<ul>{items}</ul>" if links else "<p>No report was written yet.</p>"
    others = f"<p>{', '.join(_anchored(text, to) for text, to in more)}</p>" if more else ""
    return f'{_head(title)}<h1>{escape(title)}</h1><p class="note">{escape(note)}</p>{listed}{others}</html>\n'


def _anchored(text: str, to: str) -> str:
    return f'<a href="{escape(to, quote=True)}">{escape(text)}</a>'


def _head(title: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )


def _link(data_docs: str) -> str:
    return f', <a href="{escape(data_docs, quote=True)}">Great Expectations Data Docs</a>' if data_docs else ""


def _badge(verdict: str) -> str:
    return f'<span class="verdict {verdict}">{WORDS[verdict]}</span>'


def _checks(report: Report) -> str:
    if not report.checks:
        return "<p>No check has run yet.</p>"
    rows = "".join(
        f"<tr{' class=old' if report.is_outdated(item) else ''}><td>{escape(item.stage)}</td>"
        f'<td><a href="#{_anchor(item)}">{escape(item.check)}</a></td>'
        f"<td>{_badge(item.verdict or 'pass')}</td><td>{escape(item.reason)}</td></tr>"
        for item in report.checks
    )
    return f"<table><tr><th>stage</th><th>check</th><th>verdict</th><th>why</th></tr>{rows}</table>"


def _stage(report: Report, stage: str) -> str:
    found = [section for section in report.sections if section.stage == stage]
    return f"<h2>{escape(stage)}</h2>{''.join(_section(report, section) for section in found)}"


def _section(report: Report, section: Section) -> str:
    head = ""
    if section.check:
        head = (
            f'<h3 id="{_anchor(section)}">{escape(section.check)} {_badge(section.verdict or "pass")}</h3>'
            f"<p>{escape(section.reason)}</p>"
        )
    old = "of an earlier version of the data; " if report.is_outdated(section) else ""
    note = f"{old}data {section.digest[:12]}, {section.at}, run {section.run_id}"
    pictures = [entry for entry in section.entries if entry.is_picture]
    texts = [entry for entry in section.entries if entry.kind == "markdown" and not entry.is_picture]
    facts = [entry for entry in section.entries if entry.kind in ("number", "text")]
    values = [entry for entry in section.entries if entry.kind == "json"]
    objects = section.verdict not in (None, "pass")
    shown = [_markdown(entry) for entry in pictures]
    shown += [_folded(entry.name, _markdown(entry), is_open=objects) for entry in texts]
    shown += [_folded("figures", _facts(facts))] if facts else []
    shown += [_folded(entry.name, f"<pre>{escape(_pretty(entry))}</pre>") for entry in values]
    kind = " class=old" if old else ""
    return f'<section{kind}>{head}{"".join(shown)}<p class="note">{escape(note)}</p></section>'


def _anchor(section: Section) -> str:
    return escape(f"{section.stage}-{section.check}".replace(" ", "-"), quote=True)


def _folded(name: str, content: str, *, is_open: bool = False) -> str:
    state = " open" if is_open or ("<table>" not in content and "<pre>" not in content) else ""
    return f"<details{state}><summary>{escape(name.replace('_', ' '))}</summary>{content}</details>"


def _facts(entries: list[Entry]) -> str:
    rows = "".join(
        f"<tr><td>{escape(entry.name.replace('_', ' '))}</td><td>{escape(_told(entry.value))}</td></tr>"
        for entry in entries
    )
    return f"<table>{rows}</table>"


def _told(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _pretty(entry: Entry) -> str:
    return json.dumps(entry.value, indent=1, ensure_ascii=False, sort_keys=True)


def _markdown(entry: Entry) -> str:
    return _rendered(str(entry.value))


@lru_cache(maxsize=128)  # each stage of a partition writes the page anew, mostly of what it held before
def _rendered(text: str) -> str:
    return _renderer().render(text)


@cache
def _renderer() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.validateLink = _is_picture  # pyright: ignore[reportAttributeAccessIssue]; the library's own way to choose links
    return made


def _is_picture(url: str) -> bool:
    """Return whether a link of a Markdown text may stand in the page: a picture within it, or a place of it."""
    return url.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,", "#"))
