"""The report of a partition, as a value and as a page."""

import base64
import json
import re
from html.parser import HTMLParser

from quality.report import Entry, Report, Section, in_order
from quality.report_page import page
from quality.verdicts import Verdict

PICTURE = f"![bars](data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()})"
STAGES = ("raw", "features")


def section(
    stage: str, check: str = "", verdict: Verdict | None = None, *entries: Entry, digest: str = "d1"
) -> Section:
    return Section(
        stage=stage, check=check, verdict=verdict, reason=f"why {check}", digest=digest, at="2026-01-01T00:00:00+00:00",
        run_id="run-1", entries=entries,
    )  # fmt: skip


def report(*sections: Section) -> Report:
    return Report(pipeline="rides", partition="2026-01", registry="main", sections=in_order(sections, STAGES))


def test_stages_come_in_their_order_and_what_objects_before_what_passes():
    made = report(
        section("features", "drift", "warn"), section("raw", "volume", "pass"), section("features"), section("raw"),
        section("raw", "schema", "block"),
    )  # fmt: skip
    assert [(item.stage, item.check) for item in made.sections] == [
        ("raw", ""), ("raw", "schema"), ("raw", "volume"), ("features", ""), ("features", "drift"),
    ]  # fmt: skip
    assert made.verdict == "block"


def test_a_verdict_on_earlier_data_is_marked_and_does_not_count():
    made = report(section("raw", digest="new"), section("raw", "contract", "block", digest="old"))
    assert made.verdict == "pass"
    assert made.to_json()["sections"][1]["outdated"] is True
    assert "of an earlier version of the data" in page(made)


def test_a_section_comes_back_from_its_json():
    made = section("raw", "volume", "warn", Entry(name="rows", kind="number", value=3))
    assert Section.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_pictures_come_before_tables_and_numbers():
    text = page(
        report(
            section(
                "raw", "volume", "pass", Entry(name="rows", kind="number", value=1234567),
                Entry(name="table", kind="markdown", value="| a |\n| --- |\n| 1 |"),
                Entry(name="picture", kind="markdown", value=PICTURE),
            )
        )
    )  # fmt: skip
    places = [text.index(part) for part in ("data:image/svg+xml", "<th>a</th>", "1,234,567")]
    assert places == sorted(places)


class Links(HTMLParser):
    """Collects what a page would load or lead to, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


def test_whatever_the_data_hold_the_page_loads_nothing_and_runs_nothing():
    hostile = "<script src=//evil.example/x.js></script><img src=x onerror=alert(1)>"
    links = "![x](https://evil.example/a.png) [y](javascript:alert(1)) [z](https://evil.example)"
    made = report(
        section(
            hostile, "volume", "warn", Entry(name=hostile, kind="text", value=hostile),
            Entry(name="m", kind="markdown", value=f"{hostile}\n\n{links}\n\n{PICTURE}"),
            Entry(name="j", kind="json", value={hostile: hostile}),
        )
    )  # fmt: skip
    parsed = Links()
    parsed.feed(page(made))
    assert "script" not in parsed.tags
    assert all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in parsed.found)
    assert parsed.tags.count("img") == 1
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'", page(made))


def test_a_partition_without_checks_says_so():
    assert "No check has run yet" in page(report(section("raw")))
