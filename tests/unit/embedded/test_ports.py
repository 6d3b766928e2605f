"""Ports: free, in use, impossible."""

from __future__ import annotations

import socket

import pytest

from app.embedded.ports import free_port, is_free, is_open
from app.errors import ConfigurationError


def test_free_ports_are_never_given_twice() -> None:
    """Two servers that have not bound their ports yet do not get the same port."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(is_free(port) for port in ports)


def test_a_port_in_use_is_open_and_not_free() -> None:
    """A port with a listener is open; a port without one is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_open(port)
        assert not is_free(port)
    assert not is_open(port)
    assert is_free(port)


@pytest.mark.parametrize(("port", "address"), [(9092, "192.0.2.1"), (70_000, "127.0.0.1")])
def test_an_impossible_address_is_named(port: int, address: str) -> None:
    """An address of another machine or an impossible port is a configuration error."""
    with pytest.raises(ConfigurationError, match=f"{address}:{port}"):
        is_free(port, address)
