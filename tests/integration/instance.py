"""Owns a Penstock of its own for a test: store, Dagster home, scratch and settings below one folder, real processes.

    penstock = Installation.at(tmp_path, pipelines=folder)
    penstock.run("dagster", "asset", "materialize", "-m", "pipelines.definitions", ...)
    with penstock.daemon(), penstock.instance() as instance:
        wait_for(lambda: instance.get_runs())

Every process started here is ended here, by its id. It asserts nothing about pipelines.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.integration.webserver import ROOT, Alive, served

if TYPE_CHECKING:
    import dagster as dg

T = TypeVar("T")
BIN = Path(sys.executable).parent
LOCATION = ("-m", "pipelines.definitions")
STAGES = ("raw", "features", "model", "evaluation", "deployment")
COMMAND_S = 240.0
FOREIGN = ("PENSTOCK_", "DAGSTER_", "BIKE_DEMAND_")
"""Settings of the person who runs the tests, kept out of them."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One installation: nothing of it is shared but what `env` names.

    Attributes:
        folder: Holds everything; also the `DAGSTER_HOME`.
        env: What it adds to the environment.
    """

    folder: Path
    env: Mapping[str, str]

    @classmethod
    def at(cls, folder: Path, *, pipelines: Path | None = None, key: Path | None = None, **env: str) -> "Installation":
        """Make an installation in `folder`.

        Args:
            folder: New or empty folder.
            pipelines: Folder of pipelines, for `PENSTOCK_PIPELINES`.
            key: Signing key to share with other installations; it is made on first use.
            env: More settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "dagster.yaml", folder)
        given = {"PENSTOCK_PIPELINES": pipelines, "PENSTOCK_KEY": key}
        settings = {name: str(value) for name, value in given.items() if value is not None}
        home = {"DAGSTER_HOME": str(folder), "PENSTOCK_HOME": str(folder / "penstock")}
        return cls(folder=folder, env={**home, **settings, "DAGSTER_DISABLE_TELEMETRY": "yes", **env})

    def environment(self) -> dict[str, str]:
        """Return the whole environment of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**kept, **self.env}

    def run(self, command: str, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """Run a command of the virtual environment and return its output; one that fails is an error that shows it."""
        done = subprocess.run(
            [str(BIN / command), *arguments],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    @contextmanager
    def daemon(self) -> Iterator[Alive]:
        """Run `dagster-daemon` until the block ends, with its code server and the runs it began."""
        command = [str(BIN / "dagster-daemon"), "run", *LOCATION]
        with served(command, cwd=ROOT, environment=self.env) as alive:
            yield alive

    @contextmanager
    def instance(self) -> Iterator["dg.DagsterInstance"]:
        """Open its Dagster instance in this process."""
        import dagster as dg

        before = os.environ.get("PENSTOCK_HOME")
        os.environ["PENSTOCK_HOME"] = self.env["PENSTOCK_HOME"]  # dagster.yaml's instance class reads it
        try:
            instance = dg.DagsterInstance.from_config(str(self.folder))
        finally:
            os.environ.pop("PENSTOCK_HOME") if before is None else os.environ.update(PENSTOCK_HOME=before)
        with instance:
            yield instance

    def digests(self, pipeline: str, partitions: Sequence[str]) -> dict[str, str]:
        """Return the digests that the store holds, by `stage@partition`; what was not made is left out."""
        from resources.errors import ObjectMissing
        from resources.settings import load_settings
        from resources.storage import refs
        from resources.workspace import open_workspace

        workspace = open_workspace(load_settings(self.env))
        found: dict[str, str] = {}
        for stage in STAGES:
            for partition in partitions:
                try:
                    ref = refs.load(workspace.store, workspace.registry_name, (pipeline, stage), partition)
                except ObjectMissing:
                    continue
                found[f"{stage}@{partition}"] = ref.digest
        return found

    def data_versions(self, pipeline: str, partitions: Sequence[str]) -> dict[str, str]:
        """Return the data versions that Dagster's event log holds, by `stage@partition`."""
        import dagster as dg

        found: dict[str, str] = {}
        with self.instance() as instance:
            for stage in STAGES:
                for partition in partitions:
                    wanted = dg.AssetRecordsFilter(
                        asset_key=dg.AssetKey([pipeline, stage]), asset_partitions=[partition]
                    )
                    for record in instance.fetch_materializations(wanted, limit=1).records:
                        tags = record.asset_materialization.tags if record.asset_materialization else None
                        found[f"{stage}@{partition}"] = (tags or {})["dagster/data_version"]
        return found


def wait_for(ready: Callable[[], T], what: str, *, alive: Alive | None = None, within_s: float = 300.0) -> T:
    """Return the first true value of `ready`, asked four times a second.

    Raises:
        TimeoutError: If there is none, naming `what` and showing the end of the server's output.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := ready():
            return value
        if alive is not None:
            alive.check()
        time.sleep(0.25)
    raise TimeoutError(f"no {what} within {within_s:g} s:\n{alive.tail() if alive else ''}")


def kill_at_once(alive: Alive) -> None:
    """End a server as a power cut would; the children in its session end with the block that runs it."""
    os.kill(alive.process.pid, signal.SIGKILL)
    alive.process.wait()
