"""The server of reports: what it shows, and all that it does not."""

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from quality.report import Entry, Section
from resources.errors import SettingsError
from resources.report_server import serving
from resources.reports import DATA_DOCS, docs_folder, keep_section, page_path, page_url
from resources.served_reports import answer
from resources.settings import load_settings
from resources.workspace import Workspace, open_workspace

HOUR = "2026-01-01-10:00"
DOCS = "main/rides/2026-01-data-docs/gx/uncommitted/data_docs/local_site"


def keep(workspace: Workspace, registry: str, pipeline: str, partition: str | None, rows: int) -> None:
    entry = Entry(name="rows", kind="number", value=rows)
    section = Section(
        stage="raw", check="", verdict=None, reason="", digest="d", at="2026-01-01", run_id="r", entries=(entry,)
    )
    keep_section(workspace.store, registry, pipeline, partition, section)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    home = tmp_path_factory.mktemp("served")
    opened = open_workspace(
        load_settings({"PENSTOCK_HOME": str(home), "PENSTOCK_REPORTS_URL": "https://reports.example.org/penstock"})
    )
    keep(opened, "main", "rides", "2026-01", 11)
    keep(opened, "main", "rides", HOUR, 22)
    keep(opened, "trial", "flights", None, 33)
    project = docs_folder(page_path(opened, "rides", "2026-01"))
    (project / DATA_DOCS / "static").mkdir(parents=True)
    (project / DATA_DOCS / "index.html").write_text("<p>docs</p>")
    (project / DATA_DOCS / "static" / "own.css").write_text("p{}")
    (project / DATA_DOCS / "notes.txt").write_text("secret")
    (project / DATA_DOCS / "away.html").symlink_to(opened.settings.key)
    (project / "gx" / "uncommitted" / "config.html").write_text("secret")
    return opened


@pytest.fixture(scope="module")
def url(workspace: Workspace) -> Iterator[str]:
    with serving(workspace, 0, remedy="") as address:
        yield address


def ask(url: str, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    """Ask for a path as it is written, which clients would tidy up."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def test_a_report_is_shown_as_the_store_holds_it_now(workspace: Workspace, url: str):
    keep(workspace, "main", "rides", "2026-02", 44)
    assert "<td>44</td>" in ask(url, "/main/rides/2026-02.html")[1]
    keep(workspace, "main", "rides", "2026-02", 55)
    assert "<td>55</td>" in ask(url, "/main/rides/2026-02.html")[1]


def test_the_same_report_is_given_as_json(url: str):
    response, body = ask(url, "/main/rides/2026-01.json")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body)["sections"][0]["entries"][0]["value"] == 11


def test_an_address_in_the_metadata_leads_to_its_report(workspace: Workspace, url: str):
    address = page_url(workspace, "rides", HOUR) or ""
    path = urlsplit(address).path.removeprefix("/penstock")
    assert "<td>22</td>" in ask(url, path)[1]


def test_lists_lead_to_every_report(url: str):
    assert 'href="trial/flights/"' in ask(url, "/")[1]
    assert 'href="all.html"' in ask(url, "/trial/flights/")[1]
    assert 'href="2026-01-01-10%3A00.html">2026-01-01-10:00<' in ask(url, "/main/rides/")[1]
    response, _ = ask(url, "/main/rides")
    assert (response.status, response.headers["Location"]) == (308, "rides/")


def test_the_newest_partition_is_listed_first(workspace: Workspace, url: str):
    for partition in ("2026-02", "2026-10", "2026-09"):
        keep(workspace, "main", "trips", partition, 1)
    listed = ask(url, "/main/trips/")[1]
    assert re.findall(r'href="(.*?).html"', listed) == ["2026-10", "2026-09", "2026-02"]


@pytest.fixture(scope="module")
def hourly(workspace: Workspace) -> list[str]:
    """Keep 203 partitions of one pipeline, and return them from the newest to the oldest."""
    hours = [f"2026-{1 + hour // 672:02}-{1 + hour // 24 % 28:02}T{hour % 24:02}" for hour in range(203)]
    for hour in hours:
        keep(workspace, "main", "hours", hour, 1)
    return hours[::-1]


def test_a_long_list_is_shown_in_parts_the_newest_first(hourly: list[str], url: str):
    first, second, third = (ask(url, f"/main/hours/{more}")[1] for more in ("", "?skip=100", "?skip=200"))
    assert [re.findall(r'href="(2026.*?).html"', one) for one in (first, second, third)] == [
        hourly[:100], hourly[100:200], hourly[200:],
    ]  # fmt: skip
    assert "1 to 100 of 203" in first
    assert re.findall(r'href="(\?.*?)"', first) == ["?skip=100"]
    assert re.findall(r'href="(\?.*?)"', second) == ["?skip=0", "?skip=200"]
    assert re.findall(r'href="(\?.*?)"', third) == ["?skip=100"]


@pytest.mark.parametrize(("query", "status"), [("skip=203", 404), ("skip=-1", 200), ("skip=x", 200), ("skip=²", 200)])
def test_a_part_that_is_not_there_is_not_found_and_no_number_is_the_first_part(
    hourly: list[str], workspace: Workspace, query: str, status: int
):
    found = answer(workspace, "/main/hours/", query)
    assert found.status == status
    assert status == 404 or f"{hourly[0]}.html".encode() in found.body


def test_lists_do_not_look_at_each_report(hourly: list[str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("every key was listed")

    monkeypatch.setattr(type(workspace.store), "sizes", refuse)
    monkeypatch.setattr(type(workspace.store), "list", refuse)
    assert b'href="main/hours/"' in answer(workspace, "/").body
    assert answer(workspace, "/main/hours/").status == 200


def test_the_page_leads_to_data_docs_and_they_are_shown(url: str):
    assert f'href="{DOCS.removeprefix("main/rides/")}/index.html"' in ask(url, "/main/rides/2026-01.html")[1]
    assert ask(url, f"/{DOCS}/index.html")[1] == "<p>docs</p>"
    assert ask(url, f"/{DOCS}/static/own.css")[0].headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("path", ["/", "/main/rides/2026-01.html", f"/{DOCS}/index.html", "/none"])
def test_a_browser_may_load_nothing_from_elsewhere(url: str, path: str):
    headers = ask(url, path)[0].headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src ")
    assert "http" not in policy
    assert "script-src" not in policy
    assert policy.endswith("base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/main/none/",
        "/main/rides/2030-01.html",
        "/main/rides/.html",
        f"/main/rides/{'9' * 300}.html",
        "/main/rides/%00.html",
        "/../main/rides/2026-01.html",
        "/..%2f..%2fkeys/rides/2026-01.html",
        "/main/..%2f..%2f..%2fkeys/signing.pem",
        "/main/rides/..%2f..%2f..%2fkeys%2fsigning.html",
        f"/{DOCS}/../../config.html",
        f"/{DOCS}/%2e%2e/%2e%2e/config.html",
        f"/{DOCS}/..%2f..%2fconfig.html",
        f"/{DOCS.rpartition('/data_docs')[0]}/config.html",
        f"/{DOCS}/away.html",
        f"/{DOCS}/notes.txt",
        f"/{DOCS}/static",
        f"/{DOCS}//etc/passwd",
        "/main/rides/../../keys/signing.pem",
        "/%2e%2e/rides-data-docs/x/index.html",
    ],
)
def test_nothing_else_is_shown(url: str, path: str):
    response, body = ask(url, path)
    assert response.status == 404
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "secret" not in body
    assert "PRIVATE" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_reports_are_only_read(url: str, method: str):
    response, _ = ask(url, "/main/rides/2026-01.html", method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_head_tells_of_a_page_without_it(url: str):
    response, body = ask(url, "/main/rides/2026-01.html", "HEAD")
    assert (response.status, body) == (200, "")
    assert int(response.headers["Content-Length"]) > 500


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.1@evil.example", "[", "", "0.0.0.0"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_site_that_has_its_name_lead_here_reads_nothing(url: str, host: str, method: str):
    response, body = ask(url, "/main/rides/2026-01.html", method, Host=host)
    assert response.status == 421
    assert "rows" not in body


@pytest.mark.parametrize("host", ["localhost:9001", "127.0.0.1", "[::1]:3001", "reports.example.org", "LOCALHOST"])
def test_names_of_this_machine_and_of_the_settings_are_answered(url: str, host: str):
    assert ask(url, "/main/rides/2026-01.html", Host=host)[0].status == 200


def test_a_request_without_a_host_is_refused(url: str):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as raw:
        raw.sendall(b"GET /main/rides/2026-01.html HTTP/1.0\r\n\r\n")
        assert raw.makefile("rb").readline().split()[1] == b"421"


def test_a_taken_port_is_told_with_what_to_do(workspace: Workspace, url: str):
    port = urlsplit(url).port or 0
    with (
        pytest.raises(SettingsError, match=rf"port {port} of 127.0.0.1 is not available: .*; try another"),
        serving(workspace, port, remedy="try another"),
    ):
        pass


def test_the_server_ends_while_a_browser_keeps_a_connection_open(workspace: Workspace):
    with serving(workspace, 0, remedy="") as address:
        place = urlsplit(address)
        idle = socket.create_connection((place.hostname, place.port), timeout=20)
    with idle, pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.hostname, place.port), timeout=20)


def test_a_store_that_fails_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "store").write_text("no folder")
    opened = open_workspace(load_settings({"PENSTOCK_HOME": str(tmp_path)}))
    with serving(opened, 0, remedy="") as address:
        response, body = ask(address, "/main/rides/2026-01.html")
    assert response.status == 500
    assert body.startswith("cannot list ")
    assert len(body.splitlines()) == 1
