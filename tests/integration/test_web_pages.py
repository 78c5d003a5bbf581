"""The web UI in a real browser: what a person finds there after the job has run.

`PENSTOCK_TEST_SCREENSHOTS` names a folder to which every page looked at is saved as a picture.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.instance import BIN, Installation, wait_for
from tests.integration.ports import on_free_ports
from tests.integration.webserver import ROOT, browser_page, chromium, served, webserver

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STAGES = ("raw", "features", "model", "evaluation", "deployment")
PROMOTED = "2011-04"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a web UI over an installation in which one partition of the example was run, with its reports."""
    chromium()
    with on_free_ports(lambda ports: reports(tmp_path_factory.mktemp("web"), ports[0])) as installation:
        installation.run("penstock", "run", "bike_demand", "--partition", PROMOTED, "--quiet")
        workspace = ("-w", str(ROOT / "workspace.yaml"))
        with webserver(installation.folder, *workspace, environment=installation.env) as address:
            yield address


@contextmanager
def reports(folder: Path, port: int) -> Generator[Installation]:
    """Serve the reports of a new installation."""
    installation = Installation.at(folder, PENSTOCK_REPORTS_URL=f"http://127.0.0.1:{port}")
    with served([str(BIN / "penstock"), "report", "--serve"], cwd=ROOT, environment=installation.env) as alive:
        wait_for(lambda: "Reports: " in alive.tail(), "reports", alive=alive)
        yield installation


@pytest.fixture
def page() -> Iterator["Page"]:
    with browser_page() as opened:
        yield opened


def look(page: "Page", url: str, name: str, until: str) -> None:
    """Open a page, wait for a text on it, and save a picture of it if somebody wants to look."""
    page.goto(url)
    page.get_by_text(until, exact=True).first.wait_for(timeout=60_000)
    save(page, name)


def save(page: "Page", name: str) -> None:
    if folder := os.environ.get("PENSTOCK_TEST_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def partition_of(url: str, stage: str) -> str:
    return f"{url}/assets/bike_demand/{stage}?view=partitions&partition={PROMOTED}"


def picture_sizes(page: "Page") -> list[tuple[int, int]]:
    """Return the sizes of the pictures on the page that the browser could draw."""
    found = page.evaluate("[...document.querySelectorAll('img')].map(i => [i.src, i.naturalWidth, i.naturalHeight])")
    return [(width, height) for source, width, height in found if source.startswith("data:image/svg+xml") and width]


def show(page: "Page", label: str) -> None:
    """Show the Markdown value `label`: long ones are behind a link."""
    row = page.locator("tr", has=page.get_by_text(label, exact=True)).last
    if (link := row.get_by_text("[Show Markdown]")).count():
        link.click()
    page.locator("img[src^='data:image']").first.wait_for(timeout=20_000)
    page.wait_for_function("[...document.querySelectorAll('img')].every(picture => picture.complete)")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_shows_what_it_made_of_a_partition(page, url, stage):
    look(page, partition_of(url, stage), f"partition-{stage}", "champion" if stage == "deployment" else "digest")
    page.get_by_text("Materialized", exact=True).first.wait_for(timeout=60_000)
    assert page.get_by_text("No metadata entries").count() == 0


@pytest.mark.parametrize(
    ("stage", "label"),
    [
        ("features", "profile_picture"),
        ("model", "feature_importance"),
        ("model", "loader_picture"),
        ("evaluation", "champion_against_challenger"),
        ("evaluation", "metric_history"),
    ],
)
def test_pictures_are_drawn_by_the_browser(page, url, stage, label):
    look(page, partition_of(url, stage), f"before-{label}", label)
    show(page, label)
    save(page, f"picture-{label}")
    sizes = picture_sizes(page)
    assert sizes
    assert all(100 <= width <= 800 and 40 <= height <= 800 for width, height in sizes)


@pytest.mark.parametrize("view", ["partitions&partition=2011-04", "checks&checkDetail=gate"])
def test_a_click_on_the_metadata_of_asset_and_check_opens_the_report(page, url, view):
    page.goto(f"{url}/assets/bike_demand/evaluation?view={view}")
    link = page.locator(f"a[href$='/main/bike_demand/{PROMOTED}.html']").first
    link.wait_for(timeout=60_000)
    with page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_role("heading", name=f"bike_demand {PROMOTED}").wait_for(timeout=20_000)
    save(opened.value, "report")
    assert len(picture_sizes(opened.value)) >= 4
    assert opened.value.get_by_role("link", name="gate").count() == 1


def test_the_page_of_an_asset_leads_to_the_reports_of_all_its_partitions(page, url):
    page.goto(f"{url}/assets/bike_demand/evaluation")
    link = page.locator("a[href$='/main/bike_demand/']").first
    link.wait_for(timeout=60_000)
    page.goto(link.get_attribute("href"))
    page.get_by_role("link", name=PROMOTED).click()
    page.get_by_role("heading", name=f"bike_demand {PROMOTED}").wait_for(timeout=20_000)


def test_the_gate_is_shown_as_a_blocking_check_with_its_verdict(page, url):
    look(page, f"{url}/assets/bike_demand/evaluation?view=checks&checkDetail=gate", "gate", "gate")
    for expected in ("Latest execution", "This is a blocking asset check"):
        page.get_by_text(expected).first.wait_for(timeout=60_000)
    page.get_by_text("Passed", exact=True).first.wait_for(timeout=60_000)


def test_the_page_of_an_asset_names_owner_schedule_sensor_and_source(page, url):
    look(page, f"{url}/assets/bike_demand/model", "overview", "Owners")
    for expected in ("demand", "bike_demand_source", "on day 1 of the month", "lightgbm", "penstock"):
        page.get_by_text(expected).first.wait_for(timeout=60_000)


def test_both_examples_are_in_the_lineage(page, url):
    look(page, f"{url}/asset-groups", "lineage", "bike_demand")
    page.get_by_text("flight_delays").first.wait_for(timeout=60_000)


def test_the_web_ui_asks_nobody_but_this_machine(page, url):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    look(page, f"{url}/assets/bike_demand/evaluation", "evaluation", "verdict")
    look(page, f"{url}/runs", "runs", "Runs")
    foreign = [address for address in asked if not address.startswith((url, "data:", "blob:"))]
    assert len(asked) > 10
    assert foreign == []
