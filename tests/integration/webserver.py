"""Owns starting real servers and a real browser for tests: the Dagster web UI on a free loopback port.

It does not decide what is shown or asserted. Every process started here is ended here, by its id.

    with webserver(home, "-w", "workspace.yaml") as url, browser_page() as page:
        page.goto(f"{url}/assets/bike_demand/model")
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.ports import check_port, on_free_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120.0
"""Longest wait for a server; a code location is imported first."""

_LOCATIONS = "{workspaceOrError{...on Workspace{locationEntries{name loadStatus locationOrLoadError{__typename \
...on PythonError{message}}}}...on PythonError{message}}}"


@contextmanager
def webserver(
    home: Path, *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Generator[str]:
    """Run dagster-webserver until the block ends; yield its URL once every code location is loaded.

    Args:
        home: Folder of dagster.yaml, the `DAGSTER_HOME` of the server.
        arguments: What to serve: `-w workspace.yaml`, `-f file.py` or `-m module`.
        cwd: Working folder of the server.
        environment: Added to the environment of the tests.
    """
    with web_ui(
        lambda port: [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *arguments],
        cwd=cwd,
        environment={"DAGSTER_HOME": str(home), **(environment or {})},
    ) as url:
        yield url


@contextmanager
def web_ui(command: Callable[[int], list[str]], *, cwd: Path, environment: Mapping[str, str]) -> Generator[str]:
    """Run what `command` makes of a free port; yield the URL once every code location is loaded."""

    @contextmanager
    def loaded(ports: list[int]) -> Generator[str]:
        url = f"http://127.0.0.1:{ports[0]}"
        with served(command(ports[0]), cwd=cwd, environment=environment) as alive:
            wait_until_loaded(url, alive)
            yield url

    with on_free_ports(loaded) as url:
        yield url


class Alive:
    """A running server and the file its output goes to."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def check(self) -> None:
        """Raise with the server's last words if it has ended."""
        if (code := self.process.poll()) is not None:
            check_port(self.tail())
            raise RuntimeError(f"server ended with {code} before it was ready:\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the server's output."""
        return self.log.read_text(errors="replace")[-4000:]


@contextmanager
def served(command: list[str], *, cwd: Path, environment: Mapping[str, str]) -> Generator[Alive]:
    """Run `command` in a session of its own until the block ends, then end it and the children it left."""
    with tempfile.TemporaryDirectory(prefix="penstock-server-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Alive(process, log)
        finally:
            _end(process)


def graphql(url: str, query: str, variables: Mapping[str, object] | None = None) -> Any:  # Any: JSON
    """Return the `data` of a GraphQL answer of the Dagster webserver at `url`.

    Raises:
        RuntimeError: If the answer holds errors.
    """
    body = json.dumps({"query": query, "variables": dict(variables or {})}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        value = json.load(answer)
    if value.get("errors"):
        raise RuntimeError(f"GraphQL refused the query: {value['errors']}")
    return value["data"]


def wait_until_loaded(url: str, alive: Alive) -> None:
    """Wait until the server answers and has loaded its code locations; a location that fails is an error."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        alive.check()
        check_port(alive.tail())  # `dagster dev` goes on without its web UI
        try:
            workspace = graphql(url, _LOCATIONS)["workspaceOrError"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            workspace = {}
        if "message" in workspace:
            raise RuntimeError(f"workspace does not load: {workspace['message']}")
        if _all_loaded(workspace.get("locationEntries")):
            return
        time.sleep(0.2)
    raise TimeoutError(f"no code location loaded at {url} within {READY_S:g} s:\n{alive.tail()}")


def _all_loaded(entries: list[dict[str, Any]] | None) -> bool:
    for entry in entries or []:
        outcome = entry["locationOrLoadError"]
        if outcome and outcome["__typename"] == "PythonError":
            raise RuntimeError(f"code location {entry['name']} does not load: {outcome['message']}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the server as Ctrl-C would, so that it ends its code servers; then what is left of its session."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its own session (start_new_session), nobody else's
    except ProcessLookupError:
        return


def chromium() -> str:
    """Return the path of a Chromium or Chrome; skip the test, naming the remedy, where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = os.environ.get("PENSTOCK_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None and Path(mac).exists():
        found = mac
    if found is None:
        pytest.skip("no Chromium found for the browser tests: apt-get install chromium, or set PENSTOCK_TEST_CHROMIUM")
    return found


@contextmanager
def browser_page(*, width: int = 1600, height: int = 1000) -> Generator["Page"]:
    """Open one page of a headless Chromium that may reach loopback only."""
    from playwright.sync_api import sync_playwright

    executable = chromium()
    with sync_playwright() as playwright:
        # --no-sandbox: Chromium refuses its sandbox to root, which CI containers run as.
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            context = browser.new_context(viewport={"width": width, "height": height})
            context.route(lambda url: not _is_loopback(url), lambda route: route.abort())
            yield context.new_page()
        finally:
            browser.close()


def _is_loopback(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))
