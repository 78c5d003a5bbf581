"""`penstock dev`: Dagster's web UI on this machine, and beside it the reports that its pages link to."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from pipelines.cli.environment import PROJECT_ROOT, prepare
from pipelines.cli.guard import DONE, ERROR

WEB_PORT = 3000
_PATIENCE_S = 60.0
"""Dagster gives its own processes as long to end."""


def dev(
    *,
    port: Annotated[
        int, typer.Option("--port", "-p", min=1, max=65534, help="Port of the web UI; reports are at the next.")
    ] = WEB_PORT,
) -> int:
    """Open the Dagster web UI on this machine, with the reports that assets and checks link to.

    Both listen to this machine only, and end with Ctrl-C.
    """
    prepare()
    with _reports(port + 1) as url:
        if url:
            print(f"Reports: {url}/", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
        child = subprocess.Popen([*command, "-w", str(PROJECT_ROOT / "workspace.yaml")], cwd=PROJECT_ROOT)
        # A terminal sends Ctrl-C to the child as well, `kill` sends its signal to this process alone.
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            return DONE if child.wait() == 0 else ERROR
        except KeyboardInterrupt:
            _end(child)
            raise


@contextmanager
def _reports(port: int) -> Generator[str | None]:
    """Serve the reports where the links of this machine lead; nothing where they lead to another one."""
    from pipelines.cli.opened import workspace
    from resources.report_server import local_port, serving

    opened = workspace()
    given = opened.settings.reports_url
    chosen = port if given is None else local_port(given)
    if chosen is None:
        yield None
        return
    remedy = (
        "end that, give another --port (make dev PORT=...), or set PENSTOCK_REPORTS_URL to another port of this machine"
    )
    with serving(opened, chosen, remedy=remedy) as url:
        if given is None:
            os.environ["PENSTOCK_REPORTS_URL"] = url
        yield url


def _end(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait()
