"""A Flume source answers a call once Kafka has its events, not before."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport, TTransportException

from app.embedded.ports import free_port
from app.errors import ConfigurationError
from app.sources.flume import source as flume
from app.sources.flume.source import FlumeSource
from app.sources.flume.thrift import AppendBatch, Event, ReplyStatus, Result
from app.sources.tcp.connection import enable_keepalive
from tests.collecting import batches_of

if TYPE_CHECKING:
    from app.sources.base import Batch


@asynccontextmanager
async def serving(**options: int) -> AsyncIterator[tuple[FlumeSource, int]]:
    """An open source, and the port on which it listens."""
    port = free_port()
    source = FlumeSource("127.0.0.1", port, **options)
    await source.open()
    try:
        yield source, port
    finally:
        await source.close()


def sending(port: int, *bodies: bytes) -> asyncio.Task[int | None]:
    """Send a call with an event for each body; its status once it is answered."""
    events = [Event(body=body) for body in bodies]
    return asyncio.create_task(asyncio.to_thread(send, port, TBinaryProtocol, events))


async def test_a_call_is_answered_ok_once_it_is_acknowledged() -> None:
    """An acknowledgement answers the calls up to its number, and no later ones."""
    async with serving() as (source, port), aclosing(batches_of(source)) as batches:
        first = sending(port, b"1")
        assert (await anext(batches)).position == 1
        second = sending(port, b"2")
        assert (await anext(batches)).position == 2
        await source.acknowledge(1)
        assert await first == ReplyStatus.OK
        await asyncio.sleep(0.05)
        assert not second.done()
        await source.acknowledge(2)
        assert await second == ReplyStatus.OK
        assert await sending(port) == ReplyStatus.OK


async def test_while_kafka_is_away_calls_fail_and_are_not_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the retries of Flume would fill memory with the same events."""
    monkeypatch.setattr(flume, "_AWAY_SECONDS", 0.0)
    async with serving() as (source, port), aclosing(batches_of(source)) as batches:
        waiting = sending(port, b"1")
        assert (await anext(batches)).text == b"1"
        assert await sending(port, b"2") == ReplyStatus.FAILED
        source.stop()
        assert [batch async for batch in batches] == []
        await source.acknowledge(1)
        assert await waiting == ReplyStatus.OK


async def test_a_port_in_use_is_reported() -> None:
    """The error names the address."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{port}"):
        await FlumeSource("127.0.0.1", port).open()
    server.close()


def send(port: int, protocol: type, events: list[Event]) -> int | None:
    """Send events by the library's own framed client; return the status; None without a reply."""
    peer = TSocket("127.0.0.1", port)
    peer.setTimeout(20_000)
    transport = TFramedTransport(peer)
    transport.open()
    result = Result()
    with closing(transport), suppress(TTransportException):
        codec = protocol(transport)
        codec.writeMessageBegin("appendBatch", TMessageType.CALL, 1)
        AppendBatch(events=events).write(codec)
        codec.writeMessageEnd()
        transport.flush()
        codec.readMessageBegin()
        result.read(codec)
    status: int | None = result.success
    return status


async def test_silent_peers_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel probes after a minute of silence, not after its default of two hours."""
    silences: list[int] = []

    def watch(peer: socket.socket) -> None:
        enable_keepalive(peer)
        silences.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    monkeypatch.setattr(flume, "enable_keepalive", watch)
    async with serving() as (_, port):
        assert await sending(port) == ReplyStatus.OK
    assert silences == [60]


@pytest.mark.parametrize("protocol", [TCompactProtocol, TBinaryProtocol])
async def test_a_thrift_client_sends_any_bytes_and_gets_ok(protocol: type) -> None:
    """Odd bytes and an empty call pass through a socket; a call that is too long is cut off."""
    taken: list[Batch] = []

    async def take(source: FlumeSource) -> None:
        async for batch in source.batches():
            taken.append(batch)
            if batch.position is not None:
                await source.acknowledge(batch.position)

    odd = [Event(headers={b"h\xff": b"\xfe"}, body=b"\xff\x00"), Event(body=b"x" * 900_000)]
    async with serving(frame_bytes=1 << 20) as (source, port):
        taking = asyncio.create_task(take(source))
        assert await asyncio.to_thread(send, port, protocol, odd) == ReplyStatus.OK
        assert await asyncio.to_thread(send, port, protocol, []) == ReplyStatus.OK
        assert await asyncio.to_thread(send, port, protocol, odd * 2) is None
        source.stop()
        await asyncio.wait_for(taking, 5)
    assert [(batch.text, batch.headers) for batch in taken] == [
        (b"\xff\x00", (("h\ufffd", b"\xfe"),)),
        (b"x" * 900_000, ()),
    ]
