"""A ZeroMQ source reads messages of real peers; peers that a test kills are processes."""

import asyncio
import functools
import re
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from app.errors import ConfigurationError, UnavailableError
from app.sources.zeromq import Keys, ZeroMQSource
from tests.collecting import Collected, collecting


class Peers:
    """Sockets of this process; they stay open until the test ends."""

    def __init__(self) -> None:
        self._context: Any = zmq.Context()
        self._sockets: list[Any] = []

    def socket(self, kind: int) -> Any:
        """Create a socket."""
        self._sockets.append(self._context.socket(kind))
        return self._sockets[-1]

    def close(self) -> None:
        """Close all sockets."""
        for made in self._sockets:
            made.close(0)
        self._context.term()


@pytest.fixture
def context() -> Iterator[Peers]:
    """Creates sockets for peers in this process."""
    made = Peers()
    yield made
    made.close()


def bound(context: Any, kind: int) -> tuple[Any, str]:
    """Return a bound socket of a peer and its endpoint."""
    peer = context.socket(kind)
    port = peer.bind_to_random_port("tcp://127.0.0.1")
    return peer, f"tcp://127.0.0.1:{port}"


async def subscribed(collected: Collected, peer: Any, message: list[bytes]) -> None:
    """Publish until the subscriber is connected: before that, a publisher drops messages."""

    def connected() -> bool:
        peer.send_multipart(message)
        return bool(collected.lines)

    await collected.until(connected)


async def test_pushed_messages_come_once(context: Any) -> None:
    """Each message arrives once, though there are more than ZeroMQ holds."""
    peer, endpoint = bound(context, zmq.PUSH)
    async with collecting(ZeroMQSource(endpoint, pull=True)) as collected:
        for number in range(500):
            peer.send(b"%d" % number)
        await collected.until(lambda: collected.number == 500)
    assert collected.lines == [b"%d" % number for number in range(500)]


async def test_a_subscription_selects_messages_by_prefix(context: Any) -> None:
    """Several prefixes work; frames before the text can be skipped."""
    peer, endpoint = bound(context, zmq.PUB)
    source = ZeroMQSource(endpoint, prefixes=("a", "b"), skip=1)
    async with collecting(source) as collected:
        await subscribed(collected, peer, [b"a", b"here"])
        peer.send_multipart([b"c", b"other"])
        peer.send_multipart([b"bb", b"two\nlines\n", b"and a frame"])
        await collected.until(lambda: b"and a frame" in collected.lines)
    lines = [line for line in collected.lines if line != b"here"]
    assert lines == [b"two", b"lines", b"and a frame"]
    assert collected.number == len(collected.lines)


async def test_peers_may_connect_to_us(context: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Several peers can connect; stderr has the endpoint."""
    source = ZeroMQSource("tcp://127.0.0.1:*", pull=True, bind=True)
    async with collecting(source) as collected:
        endpoint = capsys.readouterr().err.split()[-1]
        for number in range(3):
            peer = context.socket(zmq.PUSH)
            peer.connect(endpoint)
            peer.send(b"%d" % number)
        await collected.expect(b"0", b"1", b"2")


async def test_odd_messages_pass(context: Any) -> None:
    """Empty messages, NUL, invalid UTF-8, and 100 MB at once arrive unchanged."""
    peer, endpoint = bound(context, zmq.PUSH)
    async with collecting(ZeroMQSource(endpoint, pull=True)) as collected:
        for message in (b"", b"\0", b"\xff\xfe", b"word " * 20_000_000, b"end"):
            peer.send(message)
        await collected.until(lambda: collected.lines[-1:] == [b"end"])
    assert collected.number == 5
    assert collected.lines[:3] == [b"", b"\0", b"\xff\xfe"]
    assert len(collected.lines[3]) == 100_000_000


def has(collected: Collected, lines: int) -> bool:
    return collected.number == lines


async def test_messages_of_a_restarted_pusher_arrive(
    tmp_path: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The messages of both pushers arrive once each; stderr reports the connection's states."""
    script = tmp_path / "push.py"
    script.write_text(
        textwrap.dedent("""
            import sys, time, zmq
            peer = zmq.Context().socket(zmq.PUSH)
            peer.bind(sys.argv[1])
            for n in range(int(sys.argv[2]), int(sys.argv[3])):
                peer.send(b"%d" % n)
            time.sleep(60)
        """)
    )
    endpoint = f"tcp://127.0.0.1:{unused_port}"
    async with collecting(ZeroMQSource(endpoint, pull=True)) as collected:
        for start in (0, 1000):
            command = [sys.executable, str(script), endpoint, str(start), str(start + 1000)]
            process = await asyncio.create_subprocess_exec(*command)
            await collected.until(functools.partial(has, collected, start + 1000))
            process.kill()
            await process.wait()
    assert collected.lines == [b"%d" % n for n in range(2000)]
    said = capsys.readouterr().err
    assert f"{endpoint}: connected" in said
    assert "retrying" in said


async def test_a_peer_that_does_not_use_zeromq_harms_nothing(
    context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Garbage gives no message; messages of a real peer arrive beside it."""
    source = ZeroMQSource("tcp://127.0.0.1:*", pull=True, bind=True)
    async with collecting(source) as collected:
        endpoint = capsys.readouterr().err.split()[-1]
        port = int(endpoint.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as garbage:
            garbage.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
            peer = context.socket(zmq.PUSH)
            peer.connect(endpoint)
            peer.send(b"fine")
            await collected.expect(b"fine")


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    """`keys("name")`: the path of new CURVE keys, without its suffix."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        zmq.auth.create_certificates(folder, name)
        return folder / name

    return make


async def test_curve_accepts_clients_with_a_known_key(
    context: Any, keys: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages of a client with a known key arrive, those of a stranger do not."""
    server, client, stranger = keys("server"), keys("client"), keys("stranger")
    own = Keys(server.with_suffix(".key_secret"), clients=client.parent)
    source = ZeroMQSource("tcp://127.0.0.1:*", pull=True, bind=True, keys=own)
    async with collecting(source) as collected:
        endpoint = capsys.readouterr().err.split()[-1]
        for name, text in ((stranger, b"no"), (client, b"yes")):
            peer = context.socket(zmq.PUSH)
            public, secret = zmq.auth.load_certificate(name.with_suffix(".key_secret"))
            peer.curve_publickey, peer.curve_secretkey = public, secret
            peer.curve_serverkey = zmq.auth.load_certificate(server.with_suffix(".key"))[0]
            peer.connect(endpoint)
            peer.send(text)
        await collected.expect(b"yes")


async def test_curve_to_a_server(
    context: Any, keys: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The client needs the key of the right server; stderr reports a wrong one."""
    server, client, other = keys("server"), keys("client"), keys("other")
    peer = context.socket(zmq.PUSH)
    public, secret = zmq.auth.load_certificate(server.with_suffix(".key_secret"))
    peer.curve_publickey, peer.curve_secretkey, peer.curve_server = public, secret, True
    endpoint = f"tcp://127.0.0.1:{peer.bind_to_random_port('tcp://127.0.0.1')}"
    own = client.with_suffix(".key_secret")
    wrong = ZeroMQSource(endpoint, pull=True, keys=Keys(own, other.with_suffix(".key")))
    async with collecting(wrong) as collected:
        await collected.until(lambda: re.search("ZeroMQ|keys", capsys.readouterr().err))
    right = ZeroMQSource(endpoint, pull=True, keys=Keys(own, server.with_suffix(".key")))
    async with collecting(right) as collected:
        peer.send(b"secret")
        await collected.expect(b"secret")


async def test_wrong_arguments_are_reported(keys: Callable[[str], Path], tmp_path: Path) -> None:
    """The errors name endpoints, ports and key files."""
    key = keys("key")
    with pytest.raises(ConfigurationError, match="connect to nowhere: Invalid argument"):
        await opened(ZeroMQSource("nowhere"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=r"bind to .*in use"):
            await opened(ZeroMQSource(endpoint, bind=True))
    endpoint = "tcp://127.0.0.1:1"
    for own, why in (
        (tmp_path / "none", "can't be read"),
        (key.with_suffix(".key"), "holds no secret key"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            await opened(ZeroMQSource(endpoint, keys=Keys(own)))
    clients = Keys(key.with_suffix(".key_secret"), clients=tmp_path / "no")
    with pytest.raises(ConfigurationError, match="no directory"):
        await opened(ZeroMQSource(endpoint, bind=True, keys=clients))


async def opened(source: ZeroMQSource) -> None:
    try:
        await source.open()
    finally:
        await source.close()
