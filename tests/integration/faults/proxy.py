"""A proxy before an S3 server that goes wrong on purpose, at the request and the byte that a fault names.

Signed requests pass unchanged, with the Host header that they were signed for. It speaks plain HTTP/1.1 on loopback,
holds one request and one answer of each connection in memory, and keeps a log.
"""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["reset", "short", "flip", "slow down", "skew", "no bucket", "freeze", "call"]
Moment = Literal["before", "upload", "answer", "body"]
MOMENTS: dict[Kind, tuple[Moment, ...]] = {
    "reset": ("before", "upload", "answer", "body"),
    "short": ("upload", "body"),
    "flip": ("upload", "body"),
    "slow down": ("before",),
    "skew": ("before",),
    "no bucket": ("before",),
    "freeze": ("before", "answer", "body"),
    "call": ("before", "answer", "body"),
}
_REFUSALS: dict[Kind, tuple[int, str, str]] = {
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "skew": (403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    "no bucket": (404, "NoSuchBucket", "The specified bucket does not exist."),
}
_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFault:
    """What goes wrong with some requests.

    Attributes:
        kind: Reset the connection; send fewer bytes than announced; flip one bit; answer 503 SlowDown; answer that the
            client's clock is wrong, or that there is no such bucket; never go on; or call `action` and go on.
        moment: Before the server sees the request; in the body of the request; after the server has done what was
            asked but before the first byte of its answer; or in the body of the answer.
        request: Number of the first request that is hit, from 0.
        times: How many requests in a row are hit.
        every: Of these, which are: each, each second, and so on.
        each_once: Whether of these only the first one for each object is.
        share: Where in the body, from 0 to below 1.
        relabelled: Whether a short answer is announced with its short length.
        action: What `call` calls: ends the client, or stops the server.
    """

    kind: Kind
    moment: Moment
    request: int = 0
    times: int = 1
    every: int = 1
    each_once: bool = False
    share: float = 0.5
    relabelled: bool = False
    action: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        if self.moment not in MOMENTS[self.kind]:
            raise ValueError(f"{self.kind!r} happens at {MOMENTS[self.kind]}, not at {self.moment!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request as the log keeps it; `status` is 0 where the client got no whole answer."""

    method: str
    path: str
    status: int
    fault: str = ""


class FaultProxy:
    """A proxy on a free port, from entering the context to leaving it; leaving ends frozen connections.

    Args:
        endpoint: URL of the server behind it.
        fault: What goes wrong; None lets everything pass.
    """

    def __init__(self, endpoint: str, fault: NetworkFault | None = None) -> None:
        parts = urlsplit(endpoint)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.released = Event()
        self.log: list[Exchange] = []
        self._fault = fault
        self._requests = 0
        self._seen = set[str]()
        self._lock = Lock()
        self._server = _Server(self)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)

    @property
    def endpoint(self) -> str:
        """The URL that clients use instead of the server's."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def struck(self) -> bool:
        """Whether the fault has hit a request."""
        return self._fault is not None and self._requests > self._fault.request

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def due(self, path: str) -> NetworkFault | None:
        """Count one request for an object and return what is to go wrong with it."""
        with self._lock:
            number, fault = self._requests, self._fault
            self._requests += 1
            if fault is None or not fault.request <= number < fault.request + fault.times:
                return None
            seen = path in self._seen
            self._seen.add(path)
        passes = (number - fault.request) % fault.every or (fault.each_once and seen)
        return None if passes else fault

    def note(self, exchange: Exchange) -> None:
        """Append to the log."""
        with self._lock:
            self.log.append(exchange)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    to_head: bool = False

    def head(self, size_bytes: int) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]
        # An answer to HEAD announces the length of a body that is not there.
        if not self.to_head and self.status not in _NO_BODY:
            lines.append(f"Content-Length: {size_bytes}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _refusal(kind: Kind, *, to_head: bool) -> _Answer:
    status, code, text = _REFUSALS[kind]
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{text}</Message></Error>'
    return _Answer(
        status=status,
        reason=code,
        headers=[("Content-Type", "application/xml")],
        body=b"" if to_head else xml.encode(),
        to_head=to_head,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def shutdown_request(self, request: Any) -> None:  # Any: as the base class has it
        self.close_request(request)  # without the orderly goodbye, which would come before a reset

    def handle_error(self, request: Any, client_address: Any) -> None:  # Any: as the base class has it
        """Say nothing: clients that die are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        self._upstream = HTTPConnection(*self.server.proxy.upstream)
        try:
            super().handle()
        finally:
            self._upstream.close()

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.proxy.due(urlsplit(self.path).path)
        try:
            if fault is None:
                self._answer(self._forwarded(body), fault)
            else:
                self._strike(fault, body)
        except (HTTPException, OSError):
            self.close_connection = True  # one of the two ends is gone

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay

    def _answer(self, answer: _Answer, fault: NetworkFault | None) -> None:
        self._note(answer.status, fault)
        self.wfile.write(answer.head(len(answer.body)) + answer.body)

    def _note(self, status: int, fault: NetworkFault | None) -> None:
        """Keep it in the log before the client can know."""
        told = f"{fault.kind} {fault.moment}" if fault else ""
        self.server.proxy.note(Exchange(method=self.command, path=self.path, status=status, fault=told))

    def _strike(self, fault: NetworkFault, body: bytes) -> None:
        if fault.moment == "before":
            self._before(fault, body)
        elif fault.moment == "upload":
            self._in_upload(fault, body)
        else:
            answer = self._forwarded(body)
            if fault.moment == "body" and answer.body:
                self._in_body(fault, answer)
            elif fault.kind == "call":
                fault.action()
                self._answer(answer, fault)
            elif fault.kind in ("short", "flip"):  # there is nothing to damage
                self._answer(answer, fault)
            else:
                self._cut(fault, b"")

    def _before(self, fault: NetworkFault, body: bytes) -> None:
        if fault.kind == "call":
            fault.action()
            self._answer(self._forwarded(body), fault)
        elif fault.kind in _REFUSALS:
            self._answer(_refusal(fault.kind, to_head=self.command == "HEAD"), fault)
        else:
            self._cut(fault, b"")

    def _in_upload(self, fault: NetworkFault, body: bytes) -> None:
        if not body:  # nothing to damage on the way there
            self._answer(self._forwarded(body), fault)
        elif fault.kind == "flip":
            self._answer(self._forwarded(flipped(body, fault.share)), fault)
        else:
            self._send(body[: int(fault.share * len(body))])
            self._upstream.close()
            self._cut(fault, b"")

    def _in_body(self, fault: NetworkFault, answer: _Answer) -> None:
        at = int(fault.share * len(answer.body))
        if fault.kind == "flip":
            self._answer(replace(answer, body=flipped(answer.body, fault.share)), fault)
        elif fault.kind == "call":
            self._note(answer.status, fault)
            self.wfile.write(answer.head(len(answer.body)) + answer.body[:at])
            fault.action()
            self.wfile.write(answer.body[at:])
        else:
            self._cut(fault, answer.head(at if fault.relabelled else len(answer.body)) + answer.body[:at])

    def _cut(self, fault: NetworkFault, sent: bytes) -> None:
        """Send what is to be sent, then nothing ever again."""
        self._note(0, fault)
        self.wfile.write(sent)
        self.close_connection = True
        if fault.kind == "freeze":
            self.server.proxy.released.wait()
        if fault.kind in ("freeze", "reset"):  # a lingering time of 0 makes closing a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, body: bytes) -> None:
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self._upstream.putheader(name, value)
        self._upstream.endheaders(body or None)

    def _forwarded(self, body: bytes) -> _Answer:
        self._send(body)
        response = self._upstream.getresponse()
        to_head = self.command == "HEAD"
        dropped = {"transfer-encoding", "connection"} | (set() if to_head else {"content-length"})
        return _Answer(
            status=response.status,
            reason=response.reason,
            headers=[(name, value) for name, value in response.getheaders() if name.lower() not in dropped],
            body=response.read(),
            to_head=to_head,
        )

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


def flipped(data: bytes, share: float) -> bytes:
    """Return `data` with one bit flipped, in the byte and of the weight that `share` tells, from 0 to below 1."""
    bit = int(share * 8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
