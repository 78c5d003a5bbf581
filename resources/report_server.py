"""Owns the server of reports: HTTP on this machine, `GET` and `HEAD` alone; `resources.served_reports` has the answers.

It has no login, as Dagster's web UI has none. So it listens to this machine only, and it answers only to names of this
machine and to the one that the settings give: else a page of any site that a person visits could have its own name lead
here and read the reports (DNS rebinding).
"""

import errno
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from sys import exc_info
from typing import Any
from urllib.parse import urlsplit

from resources.errors import SettingsError
from resources.loopback import is_loopback
from resources.served_reports import Answer, answer, told
from resources.workspace import Workspace

HOST = "127.0.0.1"
PORT = 3001
_PATIENCE_S = 30.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def local_port(url: str | None) -> int | None:
    """Return the port of a URL that leads to `HOST`, or None for none and for other machines.

    >>> local_port("http://localhost:3001"), local_port("https://reports.example.org"), local_port(None)
    (3001, None, None)
    """
    parts = urlsplit(url or "")
    return (parts.port or 80) if parts.scheme == "http" and parts.hostname in (HOST, "localhost") else None


@contextmanager
def serving(workspace: Workspace, port: int, *, remedy: str) -> Generator[str]:
    """Serve the reports of `workspace` until the block ends; yield the address.

    Args:
        workspace: Whose reports; those of all its registries.
        port: Port of this machine; 0 takes a free one.
        remedy: What to do where the port is not to be had.

    Raises:
        SettingsError: If it is not.
    """
    try:
        server = _Server((HOST, port), _handler(workspace))
    except (OSError, OverflowError) as error:
        why = "another program listens there" if getattr(error, "errno", 0) == errno.EADDRINUSE else str(error)
        raise SettingsError(f"port {port} of {HOST} is not available: {why}; {remedy}") from error
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a browser that keeps a connection open delays no end

    def server_bind(self) -> None:
        """Bind without looking up the name of this host, which asks a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:  # Any: as socketserver has it
        """Say nothing of browsers that went away."""
        if not isinstance(exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def _handler(workspace: Workspace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S
        server_version, sys_version = "penstock", ""

        def do_GET(self) -> None:
            self._send(self._refusal() or self._answer(), with_body=True)

        def do_HEAD(self) -> None:
            self._send(self._refusal() or self._answer(), with_body=False)

        def do_POST(self) -> None:
            self._send(told(HTTPStatus.METHOD_NOT_ALLOWED, "reports are only read: use GET or HEAD"), with_body=True)

        do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST

        def _answer(self) -> Answer:
            asked = urlsplit(self.path)
            return answer(workspace, asked.path, asked.query)

        def _refusal(self) -> Answer | None:
            hosts = self.headers.get_all("Host") or []
            if len(hosts) != 1 or not _is_ours(hosts[0], workspace.settings.reports_url):
                text = (
                    "this server has another name: use http://127.0.0.1, or set PENSTOCK_REPORTS_URL to the name it has"
                )
                return told(HTTPStatus.MISDIRECTED_REQUEST, text)
            if not self.path.startswith("/"):
                return told(HTTPStatus.BAD_REQUEST, "the address must begin with /")
            return None

        def _send(self, made: Answer, *, with_body: bool) -> None:
            self.send_response(made.status)
            headers = {"Content-Type": made.kind, "Content-Length": len(made.body), **_HEADERS}
            more = {"Location": made.location, "Content-Security-Policy": made.policy}
            more["Allow"] = "GET, HEAD" if made.status == HTTPStatus.METHOD_NOT_ALLOWED else ""
            for name, value in {**headers, **more}.items():
                if value != "":
                    self.send_header(name, str(value))
            self.end_headers()
            if with_body:
                self.wfile.write(made.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of each request."""

    return Handler


def _is_ours(host: str, reports_url: str | None) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or (reports_url is not None and name == urlsplit(reports_url).hostname)
