"""Lines over TCP: a server that is connected to, and clients that connect."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from app.errors import UnavailableError
from app.sources.tcp.client import SocketSource
from app.sources.tcp.server import ListeningSource
from tests.collecting import Collected, collecting


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that serves nobody yet."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


async def accept(server: socket.socket) -> socket.socket:
    peer, _ = await asyncio.to_thread(server.accept)
    return peer


async def send(port: int, data: bytes) -> None:
    """Connect, send and close."""

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port), 20) as peer:
            peer.sendall(data)

    await asyncio.to_thread(run)


def send_until_stuck(peer: socket.socket) -> int:
    """Send until nobody takes more; the bytes that were taken."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += peer.send(b"line\n" * 100_000)
    return sent


def source_of(server: socket.socket) -> SocketSource:
    return SocketSource(*server.getsockname())


async def test_a_server_that_closes_is_connected_to_again(
    server: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a line at the close counts as one, as Spark has it; stderr tells what happens."""
    async with collecting(source_of(server)) as collected:
        with await accept(server) as peer:
            peer.sendall(b"1\n2\nhalf")
        with await accept(server) as peer:
            peer.sendall(b"3\n")
            await collected.expect(b"1", b"2", b"half", b"3")
    said = capsys.readouterr().err
    assert "has closed the connection; retrying" in said
    assert "is there again" in said


async def test_a_connection_that_is_reset_counts_what_came(server: socket.socket) -> None:
    """A peer that dies takes nothing of what was received with it."""
    async with collecting(source_of(server)) as collected:
        with await accept(server) as peer:
            peer.sendall(b"1\nhalf")
            await collected.expect(b"1")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await collected.expect(b"1", b"half")


async def test_a_server_that_refuses_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says so; when it is there, its lines come."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        host, port = gone.getsockname()
    async with collecting(SocketSource(host, port)) as collected:
        await collected.until(lambda: "Connection refused" in capsys.readouterr().err)
        with socket.create_server((host, port)) as server:
            server.settimeout(20)
            with await accept(server) as peer:
                peer.sendall(b"1\n")
                await collected.expect(b"1")


async def test_a_stopped_source_takes_what_the_kernel_holds(server: socket.socket) -> None:
    """What has arrived is taken in, a line that has begun counts; it ends though nobody closes."""
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
    """Nothing is read that nobody asks for."""
    source = source_of(server)
    batches = source.batches()
    waiting = asyncio.ensure_future(anext(batches))
    with await accept(server) as peer:
        peer.settimeout(0.5)
        sent = await asyncio.to_thread(send_until_stuck, peer)
        assert sent < 100_000_000
        await waiting
        await batches.aclose()


async def test_many_clients_are_read_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of their lines comes once, whole, though more connect than are read at a time."""
    source = ListeningSource("127.0.0.1", 0, connections=5)
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
    """Each has a turn of its own."""
    source = ListeningSource("127.0.0.1", 0, connections=3)
    async with collecting(source) as collected:
        with socket.create_connection(("127.0.0.1", source.port)) as stalling:
            stalling.sendall(b"begun")
            await send(source.port, bytes(range(11, 256)) * 1000 + b"\n")
            await send(source.port, b"fine\n")
            await collected.until(lambda: collected.number == 2)
            assert b"fine" in collected.lines
    assert b"begun" in collected.lines


async def test_a_fast_client_leaves_a_slow_one_its_turn() -> None:
    """A line of the slow one is there long before the fast one is through."""
    source = ListeningSource("127.0.0.1", 0)
    await source.open()
    batches = source.batches()
    stop = threading.Event()

    def flood() -> None:
        peer = socket.create_connection(("127.0.0.1", source.port), 20)
        with peer, contextlib.suppress(ConnectionError):  # it may be cut off when all is over
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


async def test_a_port_in_use_is_said() -> None:
    """One line, status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(UnavailableError, match=f"can't listen on {host}:{port}: Address"):
            await ListeningSource(host, port).open()
