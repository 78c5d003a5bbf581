"""Servers of the tests lie where nothing else takes their ports, and one that loses a port begins again with others."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.ports import STARTS, PortTakenError, check_port, free_ports, on_free_ports
from tests.integration.seaweed import GRPC_APART, PORT_NAMES, serving

LENT_BY_LINUX_FROM = 32_768


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_free_ports_differ_and_lie_below_those_that_the_system_lends():
    ports = free_ports(200, apart=10_000)
    assert len(set(ports)) == 200
    assert min(ports) > 1024
    assert max(ports) + 10_000 < LENT_BY_LINUX_FROM


def test_a_port_is_not_chosen_where_the_one_that_belongs_to_it_is_taken(monkeypatch: pytest.MonkeyPatch):
    (port,) = free_ports(1, apart=GRPC_APART)
    monkeypatch.setattr("tests.integration.ports.FIRST", port)
    monkeypatch.setattr("tests.integration.ports.LAST", port + 5)
    with listening(port + GRPC_APART):
        assert port not in {free_ports(1, apart=GRPC_APART)[0] for _ in range(100)}


def test_a_start_that_loses_its_port_is_tried_again_with_others():
    tried: list[int] = []

    @contextmanager
    def third_time_lucky(ports: list[int]) -> Iterator[int]:
        tried.extend(ports)
        if len(tried) < 3:
            raise PortTakenError("taken")
        yield ports[0]

    with on_free_ports(third_time_lucky) as port:
        assert tried[-1] == port
    assert len(tried) == 3


def test_a_start_that_loses_every_port_is_an_error():
    tried: list[int] = []

    @contextmanager
    def never(ports: list[int]) -> Iterator[int]:
        tried.extend(ports)
        raise PortTakenError("taken")
        yield 0

    with pytest.raises(PortTakenError), on_free_ports(never):
        pass
    assert len(tried) == STARTS


def test_what_fails_while_a_server_runs_starts_no_other():
    starts: list[int] = []

    @contextmanager
    def fine(ports: list[int]) -> Iterator[int]:
        starts.extend(ports)
        yield ports[0]

    with pytest.raises(PortTakenError), on_free_ports(fine):
        raise PortTakenError("of another server")
    assert len(starts) == 1


@pytest.mark.parametrize(
    "line",
    [
        "F1125 mini.go:1 S3 Server Fail to listen: listen tcp 127.0.0.1:27895: bind: address already in use",
        "E1125 Port allocation failed: port 27895 for S3 (specified by flag s3.port) is not available on 1",
        "ERROR: [Errno 98] error while attempting to bind on address ('127.0.0.1', 12345): address already in use",
    ],
)
def test_what_servers_say_of_a_taken_port_is_understood(line):
    with pytest.raises(PortTakenError, match="another server was faster"):
        check_port(f"starting\n{line}\nended")
    check_port("starting\nport 27895 is mine\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["master", "filer"])
def test_the_s3_server_says_so_where_a_port_of_it_is_taken(name, tmp_path):
    ports = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES), apart=GRPC_APART), strict=True))
    with listening(ports[name]), pytest.raises(PortTakenError, match=str(ports[name])), serving(tmp_path, ports):
        pass
