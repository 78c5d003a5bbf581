"""A real PostgreSQL server for tests: the system's own, on a socket in a folder of its own, ended by its process id.

It listens on no port. PostgreSQL refuses to run as root; there it runs as the user that its package made, or `nobody`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER = "penstock"
_READY_S = 60.0


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Run a server for the session and return the URL of its database."""
    with tempfile.TemporaryDirectory(prefix="penstock-pg-") as name, serving(Path(name)) as url:
        yield url


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server that keeps its data and its socket in `folder`, until the block ends.

    Raises:
        RuntimeError: If it does not start.
    """
    programs, started_as = _programs(), _unprivileged(folder)
    data, output = folder / "data", folder / "output.txt"
    made = [programs / "initdb", "--pgdata", data, "--username", USER, "--auth", "trust", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **started_as)
    command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with output.open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, cwd=folder, **started_as)
    try:
        _wait_until_ready(folder, process, output)
        yield f"postgresql+psycopg2://{USER}@/postgres?host={folder}"
    finally:
        process.send_signal(signal.SIGINT)  # ends its connections, then itself
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL: Debian keeps its programs out of the path."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    if found is None and not folders:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    return Path(found).resolve().parent if found else folders[-1]


def _unprivileged(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_until_ready(folder: Path, process: "subprocess.Popen[bytes]", output: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg2.connect(user=USER, dbname="postgres", host=str(folder)).close()
        except psycopg2.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start: {output.read_text(errors='replace')[-2000:]}")
