"""The fault machinery does what it says, so that the crash matrix proves what it claims."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from resources.settings import PROJECT_ROOT
from resources.storage.object_store import ObjectStore
from tests.integration.faults.disk import flip_bit
from tests.integration.faults.proxy import FaultProxy, NetworkFault

pytestmark = pytest.mark.timeout(60)

BODY = bytes(range(256)) * 8


class Echo(BaseHTTPRequestHandler):
    """Answers every request with its own body, or with `BODY`, and keeps what it was sent."""

    protocol_version = "HTTP/1.1"
    got: ClassVar[list[bytes]] = []

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.got.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body or BODY)))
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        self.wfile.write(body or BODY)

    do_GET = do_PUT

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Echo.got.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(proxy: FaultProxy, method: str = "GET", body: bytes | None = None, timeout_s: float = 10) -> tuple[int, bytes]:
    connection = HTTPConnection(proxy.endpoint.removeprefix("http://"), timeout=timeout_s)
    try:
        connection.request(method, "/b/key?x=%20y", body=body, headers={"Host": "signed.example"})
        response = connection.getresponse()
        assert response.headers.get("X-Host") in (None, "signed.example")
        return response.status, response.read()
    finally:
        connection.close()


def test_what_no_fault_hits_passes_unchanged(server):
    with FaultProxy(server, NetworkFault(kind="reset", moment="before", request=1)) as proxy:
        assert ask(proxy) == (200, BODY)
        with pytest.raises(ConnectionResetError):
            ask(proxy)
        assert ask(proxy, "PUT", b"data") == (200, b"data")

    assert [(told.method, told.path, told.status, told.fault) for told in proxy.log] == [
        ("GET", "/b/key?x=%20y", 200, ""),
        ("GET", "/b/key?x=%20y", 0, "reset before"),
        ("PUT", "/b/key?x=%20y", 200, ""),
    ]


@pytest.mark.slow
def test_signed_requests_pass_to_a_real_server(s3_url, seaweed, tmp_path, monkeypatch):
    with FaultProxy(seaweed.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = ObjectStore(s3_url, cache=tmp_path)
        store.put("a b/é", b"1")

        assert store.get("a b/é") == b"1"
        assert not store.create("a b/é", b"2")
        assert store.list("") == ["a b/é"]

    assert [told.status for told in proxy.log] == [200, 200, 412, 200]


@pytest.mark.parametrize(("moment", "seen"), [("before", []), ("answer", [b"data"])])
def test_a_reset_before_the_request_keeps_it_from_the_server_and_one_at_the_answer_does_not(server, moment, seen):
    with FaultProxy(server, NetworkFault(kind="reset", moment=moment)) as proxy, pytest.raises(ConnectionResetError):
        ask(proxy, "PUT", b"data")

    assert Echo.got == seen


def test_a_reset_in_the_upload_gives_the_server_half_of_it(server):
    with FaultProxy(server, NetworkFault(kind="reset", moment="upload")) as proxy:
        with pytest.raises(ConnectionResetError):
            ask(proxy, "PUT", BODY)
        wait_for(lambda: Echo.got)

    assert Echo.got == [BODY[:1024]]


def test_a_reset_in_the_body_comes_after_a_part_of_it(server):
    with (
        FaultProxy(server, NetworkFault(kind="reset", moment="body")) as proxy,
        pytest.raises((ConnectionResetError, IncompleteRead)),
    ):
        ask(proxy)


def test_a_short_body_ends_early_whether_announced_or_not(server):
    with FaultProxy(server, NetworkFault(kind="short", moment="body")) as proxy, pytest.raises(IncompleteRead) as error:
        ask(proxy)
    assert error.value.partial == BODY[:1024]

    with FaultProxy(server, NetworkFault(kind="short", moment="body", relabelled=True)) as proxy:
        assert ask(proxy) == (200, BODY[:1024])


def test_one_bit_flips_in_the_answer_or_in_the_upload(server):
    for share in (0.0, 0.37, 0.9999999):
        with FaultProxy(server, NetworkFault(kind="flip", moment="body", share=share)) as proxy:
            assert bits_between(ask(proxy)[1], BODY) == 1
        with FaultProxy(server, NetworkFault(kind="flip", moment="upload", share=share)) as proxy:
            assert bits_between(ask(proxy, "PUT", BODY)[1], BODY) == 1


def test_requests_are_refused_as_often_as_told_and_never_reach_the_server(server):
    with FaultProxy(server, NetworkFault(kind="slow down", moment="before", times=2)) as proxy:
        answers = [ask(proxy) for _ in range(3)]

    assert [status for status, _ in answers] == [503, 503, 200]
    assert b"<Code>SlowDown</Code>" in answers[0][1]
    assert len(Echo.got) == 1
    with FaultProxy(server, NetworkFault(kind="skew", moment="before")) as proxy:
        assert b"RequestTimeTooSkewed" in ask(proxy)[1]


@pytest.mark.parametrize("moment", ["before", "answer", "body"])
def test_a_frozen_answer_never_comes_until_the_proxy_ends(server, moment):
    with FaultProxy(server, NetworkFault(kind="freeze", moment=moment)) as proxy, pytest.raises(TimeoutError):
        ask(proxy, timeout_s=0.2)

    if moment != "before":
        wait_for(lambda: Echo.got)  # a busy machine may forward it after the client has given up
    assert len(Echo.got) == (0 if moment == "before" else 1)


@pytest.mark.parametrize("moment", ["before", "answer", "body"])
def test_a_call_happens_and_the_answer_comes(server, moment):
    called: list[int] = []
    fault = NetworkFault(kind="call", moment=moment, action=lambda: called.append(len(Echo.got)))

    with FaultProxy(server, fault) as proxy:
        assert ask(proxy) == (200, BODY)

    assert called == [0 if moment == "before" else 1]


def test_a_fault_at_a_moment_that_it_does_not_have_is_refused():
    with pytest.raises(ValueError, match="'flip' happens at"):
        NetworkFault(kind="flip", moment="before")


def test_a_bit_flips_on_the_disk_and_nothing_else_of_the_file_changes(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(BODY)
    file.chmod(0o444)
    before = file.stat()

    flip_bit(file, 0.5)

    after = file.stat()
    assert bits_between(file.read_bytes(), BODY) == 1
    assert (after.st_mtime_ns, after.st_mode, after.st_ino) == (before.st_mtime_ns, before.st_mode, before.st_ino)


def in_child(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `code` in a process with the layer; `fault` puts it in place and `folder` is what it watches."""
    start = (
        "import os, sys; from pathlib import Path; from tests.integration.faults.disk import DiskFault, DiskLayer\n"
        "import pyarrow as pa\nfolder = Path(sys.argv[1])\n"
        "def layer(**fault):\n"
        "    made = DiskLayer(folder, DiskFault(**fault) if fault else None)\n    made.__enter__()\n    return made\n"
        "def number(do):\n    try:\n        do()\n    except OSError as error:\n        return error.errno\n"
    )
    command = [sys.executable, "-W", "error", "-c", start + code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, check=False)


def test_the_layer_counts_each_operation_below_its_folder(tmp_path):
    done = in_child(
        "seen = layer()\n"
        "(folder / 'a').mkdir()\n"
        "(folder / 'a' / 'x').write_bytes(b'12')\n"
        "(folder / 'a' / 'x').read_bytes()\n"
        "os.link(folder / 'a' / 'x', folder / 'y'); (folder / 'y').replace(folder / 'z')\n"
        "fd = os.open(folder / 'z', os.O_RDWR); os.pwrite(fd, b'3', 0); os.fsync(fd); os.close(fd)\n"
        "with pa.OSFile(str(folder / 'arrow'), 'wb') as file: file.write(b'1')\n"
        "Path(os.devnull).read_bytes()\n"
        "print(*seen.operations)",
        tmp_path,
    )

    assert done.stdout.split() == (
        ["mkdir", "create", "write", "open", "read", "link", "replace", "open", "pwrite", "fsync", "create", "write"]
    ), done.stderr


def test_a_full_disk_stays_full_but_can_be_read_and_cleared(tmp_path):
    done = in_child(
        "layer(kind='full', operation=1, half=True)\n"
        "fd = os.open(folder / 'x', os.O_CREAT | os.O_RDWR)\n"
        "print(os.write(fd, b'1234'), number(lambda: os.write(fd, b'34')), number(lambda: os.fsync(fd)))\n"
        "print(os.pread(fd, 9, 0), number(lambda: (folder / 'y').write_bytes(b'')), os.unlink(folder / 'x'))",
        tmp_path,
    )

    assert done.stdout.splitlines() == ["2 28 28", "b'12' 28 None"], done.stderr


def test_an_io_error_hits_reads_too_and_a_failed_flush_loses_what_was_written(tmp_path):
    done = in_child(
        "(folder / 'x').write_bytes(b'1234')\n"
        "layer(kind='error', operation=1)\n"
        "print(number(lambda: (folder / 'x').read_bytes()), (folder / 'x').read_bytes())\n"
        "layer(kind='error', operation=1)\n"
        "fd = os.open(folder / 'x', os.O_RDONLY); print(number(lambda: os.fsync(fd)), (folder / 'x').read_bytes())",
        tmp_path,
    )

    assert done.stdout.splitlines() == ["5 b'1234'", r"5 b'\x00\x00\x00\x00'"], done.stderr


@pytest.mark.parametrize(("half", "left"), [(True, b"12"), (False, b"")])
def test_a_kill_comes_in_the_middle_of_a_write_or_before_it(tmp_path, half, left):
    done = in_child(
        f"layer(kind='kill', operation=1, half={half})\n"
        "fd = os.open(folder / 'x', os.O_CREAT | os.O_WRONLY); os.write(fd, b'1234')",
        tmp_path,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "x").read_bytes() == left


def test_a_clock_jumps_at_the_call_that_was_told(tmp_path):
    code = (
        "import time; from tests.integration.faults.clock import jumping\n"
        "with jumping(-3600, after_calls=1): first, second = time.time(), time.time_ns() / 1e9\n"
        "print(round(second - first), round(time.time() - first))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT, check=True)

    assert done.stdout == "-3600 0\n"


def bits_between(one: bytes, other: bytes) -> int:
    assert len(one) == len(other)
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def wait_for(condition: Any) -> None:  # Any: anything that is true in the end
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
