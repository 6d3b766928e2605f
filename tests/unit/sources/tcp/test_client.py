"""A TCP client source reads the lines of a server and reconnects."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from app.sources.tcp.client import TcpClientSource
from tests.collecting import Collected, batches_of, collecting


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening socket without connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


async def accept(server: socket.socket) -> socket.socket:
    peer, _ = await asyncio.to_thread(server.accept)
    return peer


def send_until_stuck(peer: socket.socket) -> int:
    """Send until the peer reads no more; return the number of bytes sent."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += peer.send(b"line\n" * 100_000)
    return sent


def source_of(server: socket.socket) -> TcpClientSource:
    return TcpClientSource(*server.getsockname())


async def test_the_source_reconnects_to_a_server_that_closes(
    server: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """An incomplete line counts as a line, as in Spark; stderr reports both events."""
    async with collecting(source_of(server)) as collected:
        with await accept(server) as peer:
            peer.sendall(b"1\n2\nhalf")
        with await accept(server) as peer:
            peer.sendall(b"3\n")
            await collected.expect(b"1", b"2", b"half", b"3")
    said = capsys.readouterr().err
    assert "has closed the connection; retrying" in said
    assert "is connected again" in said


async def test_an_incomplete_line_of_a_reset_connection_counts(server: socket.socket) -> None:
    """Received bytes survive the death of the peer."""
    async with collecting(source_of(server)) as collected:
        with await accept(server) as peer:
            peer.sendall(b"1\nhalf")
            await collected.expect(b"1")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await collected.expect(b"1", b"half")


async def test_the_source_retries_while_a_server_refuses(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line reports it; once the server listens, its lines arrive."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        host, port = gone.getsockname()
    async with collecting(TcpClientSource(host, port)) as collected:
        await collected.until(lambda: "Connection refused" in capsys.readouterr().err)
        with socket.create_server((host, port)) as server:
            server.settimeout(20)
            with await accept(server) as peer:
                peer.sendall(b"1\n")
                await collected.expect(b"1")


async def test_a_stopped_source_reads_what_the_kernel_has_received(server: socket.socket) -> None:
    """Received bytes are read, an incomplete line counts; the end needs no close by the peer."""
    collected = Collected(source := source_of(server))
    running = asyncio.create_task(collected.run())
    with await accept(server) as peer:
        peer.sendall(b"first\n")
        await collected.expect(b"first")
        peer.sendall(b"second\n" * 1000 + b"half")
        source.stop()
        await asyncio.wait_for(running, 10)
    assert set(collected.lines) == {b"first", b"second", b"half"}


async def test_bytes_of_any_kind_and_a_line_of_100_mb_pass(server: socket.socket) -> None:
    """Invalid UTF-8, NUL, empty lines, and a line that fits no message: no word is lost."""
    odd = b"\xff\xfe\n\0\n\n\r\n\xf0\x9f\n"
    word = b"0123456789abcde "
    async with collecting(source_of(server)) as collected:
        with await accept(server) as peer:
            await asyncio.to_thread(peer.sendall, odd + word * 6_250_000 + b"\nend\n")
            await collected.until(lambda: collected.lines[-1:] == [b"end"])
    assert collected.number == 7
    assert collected.lines[:5] == odd.split(b"\n")[:5]
    assert sum(line.count(b"0123456789abcde") for line in collected.lines) == 6_250_000
    assert max(map(len, collected.lines)) <= 1_000_000


async def test_slow_reading_slows_the_sender_down(server: socket.socket) -> None:
    """The source reads only while its next batch is requested."""
    source = source_of(server)
    batches = batches_of(source)
    waiting = asyncio.ensure_future(anext(batches))
    with await accept(server) as peer:
        peer.settimeout(0.5)
        sent = await asyncio.to_thread(send_until_stuck, peer)
        assert sent < 100_000_000
        await waiting
        await batches.aclose()
