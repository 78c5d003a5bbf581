"""`penstock report`: one page of what stages and checks said of a partition."""

import re
import signal
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.integration.instance import BIN, wait_for
from tests.integration.ports import on_free_ports
from tests.integration.shell import NAME, PARTITIONS, Shell
from tests.integration.webserver import ROOT, Alive, served

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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_reports_are_served_until_a_signal_ends_them(shell: Shell, how: signal.Signals):
    @contextmanager
    def serving(ports: list[int]) -> Generator[tuple[str, Alive]]:
        command = [str(BIN / "penstock"), "report", "--serve", "--port", str(ports[0])]
        with served(command, cwd=ROOT, environment=shell.home.env) as alive:
            wait_for(lambda: "Reports: " in alive.tail(), "reports", alive=alive)
            yield f"http://127.0.0.1:{ports[0]}", alive

    with on_free_ports(serving) as (url, alive):
        with urllib.request.urlopen(f"{url}/main/{NAME}/{PARTITIONS[0]}.html", timeout=60) as answer:
            assert b"<h2>evaluation</h2>" in answer.read()
        taken = shell("report", "--serve", PENSTOCK_REPORTS_URL=url)
        alive.process.send_signal(how)
        assert alive.process.wait(timeout=60) == 130
        assert alive.tail().splitlines()[1:] == ["stopped"]
    assert (taken.code, taken.err.count("\n")) == (1, 1)
    assert re.search(r"another program listens there; .* --port", taken.err)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((), "name a pipeline"), (("--serve", NAME), "--serve takes"), ((NAME, "--port", "3001"), "--port is of --serve")],
)
def test_what_does_not_go_together_is_wrong_usage(empty: Shell, arguments: tuple[str, ...], told: str):
    done = empty("report", *arguments)
    assert done.code == 2
    assert told in " ".join(done.err.replace("│", " ").split())
