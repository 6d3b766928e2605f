"""A TCP server source reads the lines of many clients in turn."""

import asyncio
import contextlib
import socket
import threading

import pytest

from app.errors import UnavailableError
from app.sources.tcp.server import TcpServerSource
from tests.collecting import collecting


async def send(port: int, data: bytes) -> None:
    """Connect, send and close."""

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port), 20) as peer:
            peer.sendall(data)

    await asyncio.to_thread(run)


async def test_many_clients_are_read_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line arrives once and whole, though more clients connect than are read at a time."""
    source = TcpServerSource("127.0.0.1", 0, connections=5)
    async with collecting(source) as collected:
        peers = [socket.create_connection(("127.0.0.1", source.port), 20) for _ in range(20)]
        for n, peer in enumerate(peers):
            peer.sendall(b"".join(b"%d %d\n" % (n, line) for line in range(1000)))
        await collected.until(lambda: collected.number == 5000)
        for peer in peers:
            peer.close()
        await collected.until(lambda: collected.number == 20_000)
    expected = [b"%d %d" % (n, line) for n in range(20) for line in range(1000)]
    assert sorted(collected.lines) == sorted(expected)
    assert "others wait until one of them closes" in capsys.readouterr().err


async def test_a_client_that_stalls_or_sends_garbage_harms_no_other() -> None:
    """The source reads the other clients in turn."""
    source = TcpServerSource("127.0.0.1", 0, connections=3)
    async with collecting(source) as collected:
        with socket.create_connection(("127.0.0.1", source.port)) as stalling:
            stalling.sendall(b"begun")
            await send(source.port, bytes(range(11, 256)) * 1000 + b"\n")
            await send(source.port, b"fine\n")
            await collected.until(lambda: collected.number == 2)
            assert b"fine" in collected.lines
    assert b"begun" in collected.lines


async def test_a_fast_client_leaves_a_slow_one_its_turn() -> None:
    """A line of the slow client arrives long before the fast client has finished."""
    source = TcpServerSource("127.0.0.1", 0)
    await source.open()
    batches = source.batches()
    stop = threading.Event()

    def flood() -> None:
        peer = socket.create_connection(("127.0.0.1", source.port), 20)
        with peer, contextlib.suppress(ConnectionError):  # the source may close first
            while not stop.is_set():
                peer.sendall(b"fast\n" * 100_000)

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    await anext(batches)
    await send(source.port, b"slow\n")
    seen = 0
    async for batch in batches:
        seen += 1
        if b"slow" in batch.text:
            break
    assert seen < 200
    stop.set()
    source.stop()
    async for _ in batches:
        pass
    await flooding
    await source.close()


async def test_a_port_in_use_is_reported() -> None:
    """The error names the address; it leads to status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(UnavailableError, match=f"can't listen on {host}:{port}: Address"):
            await TcpServerSource(host, port).open()
