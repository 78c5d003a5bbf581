"""`penstock report`: one page of what stages and checks said of a partition."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.integration.shell import NAME, PARTITIONS, Shell

pytestmark = pytest.mark.slow


def test_the_report_of_a_partition_holds_all_stages_and_checks(shell: Shell, tmp_path: Path):
    page = tmp_path / "report.html"
    done = shell("report", NAME, PARTITIONS[-1], "--to", str(page))
    assert done.code == 0, done.err
    assert "gate" in done.out
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/svg+xml;base64,") >= 4
    told = shell("report", NAME, PARTITIONS[-1], "--json").json
    assert {item["stage"] for item in told["sections"]} == {"raw", "features", "model", "evaluation", "deployment"}
    assert {item["check"] for item in told["sections"]} >= {"", "contract", "volume", "drift", "gate"}


def test_the_newest_partition_is_told_unless_one_is_named(shell: Shell):
    assert shell("report", NAME, "--json").json["partition"] == PARTITIONS[-1]


def test_each_run_writes_the_page_where_the_metadata_of_the_asset_says(shell: Shell):
    done = shell("report", NAME, PARTITIONS[0])
    path = Path(done.out.rpartition("Page: ")[2].strip())
    assert path.is_file()
    assert path.parts[-3:] == ("main", NAME, f"{PARTITIONS[0]}.html")


def test_data_docs_of_the_library_lie_beside_the_page_and_are_linked(empty: Shell, tmp_path: Path):
    empty("run", "flight_delays", "--quiet")
    page = tmp_path / "of flights.html"
    done = empty("report", "flight_delays", "--to", str(page), "--data-docs")
    assert done.code == 0, done.err
    (link,) = re.findall(r'href="([^"#]+)">Great Expectations Data Docs', page.read_text(encoding="utf-8"))
    index = tmp_path / unquote(link)
    assert "expect" in index.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((NAME, "2030-01"), "was not run"), (("cofee",), "cofee"), ((NAME, "--registry", "nothing"), "nothing of")],
)
def test_what_never_ran_has_no_report(shell: Shell, arguments: tuple[str, ...], told: str):
    done = shell("report", *arguments)
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
