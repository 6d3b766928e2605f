"""A Flume source answers a call once Kafka has its events, not before."""

import asyncio
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport, TTransportException

from app.errors import ConfigurationError
from app.sources.flume import source as flume
from app.sources.flume import thrift as flume_thrift
from app.sources.flume.source import FlumeSource
from app.sources.flume.thrift import Call, Event, ReplyStatus, reply
from app.sources.tcp.connection import enable_keepalive

if TYPE_CHECKING:
    from app.sources.base import Batch


def call(*events: Event) -> Call:
    return Call(TBinaryProtocol, "appendBatch", 1, list(events))


async def test_a_call_is_answered_ok_once_it_is_acknowledged() -> None:
    """An acknowledgement answers the calls up to its number, and no later ones."""
    source = FlumeSource("127.0.0.1", 0)
    first, second = call(Event(body=b"1")), call(Event(body=b"2"))
    answers = [asyncio.create_task(source._answer(one)) for one in (first, second)]
    await asyncio.sleep(0)
    await source.acknowledge(1)
    assert await answers[0] == reply(first, ReplyStatus.OK)
    assert not answers[1].done()
    await source.acknowledge(2)
    assert await answers[1] == reply(second, ReplyStatus.OK)
    assert await source._answer(call()) == reply(call(), ReplyStatus.OK)


async def test_while_kafka_is_away_calls_fail_and_are_not_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the retries of Flume would fill memory with the same events."""
    monkeypatch.setattr(flume, "_AWAY_SECONDS", 0.0)
    source = FlumeSource("127.0.0.1", 0)
    waiting = asyncio.create_task(source._answer(call(Event(body=b"1"))))
    await asyncio.sleep(0.01)
    again = call(Event(body=b"2"))
    assert await source._answer(again) == reply(again, ReplyStatus.FAILED)
    assert source._received.qsize() == 1
    waiting.cancel()


async def test_a_port_in_use_is_reported() -> None:
    """The error names the address."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{port}"):
        await FlumeSource("127.0.0.1", port).open()
    server.close()


def send(port: int, protocol: type, events: list[Event]) -> int | None:
    """Send events by the Thrift library's own framed client; return the status of the reply."""
    transport = TFramedTransport(TSocket("127.0.0.1", port))
    transport.open()
    result = flume_thrift._Result()
    with closing(transport), suppress(TTransportException):
        codec = protocol(transport)
        codec.writeMessageBegin("appendBatch", TMessageType.CALL, 1)
        flume_thrift._AppendBatch(events=events).write(codec)
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
    source = FlumeSource("127.0.0.1", 0)
    await source.open()
    assert source._server is not None
    port = source._server.sockets[0].getsockname()[1]
    assert await asyncio.to_thread(send, port, TBinaryProtocol, []) == ReplyStatus.OK
    assert silences == [60]
    await source.close()


@pytest.mark.parametrize("protocol", [TCompactProtocol, TBinaryProtocol])
async def test_a_thrift_client_sends_any_bytes_and_gets_ok(protocol: type) -> None:
    """Odd bytes and an empty call pass through a socket; a call that is too long is cut off."""
    source = FlumeSource("127.0.0.1", 0, frame_bytes=1 << 20)
    await source.open()
    assert source._server is not None
    port = source._server.sockets[0].getsockname()[1]
    taken: list[Batch] = []

    async def take() -> None:
        async for batch in source.batches():
            taken.append(batch)
            if batch.position is not None:
                await source.acknowledge(batch.position)

    taking = asyncio.create_task(take())
    odd = [Event(headers={b"h\xff": b"\xfe"}, body=b"\xff\x00"), Event(body=b"x" * 900_000)]
    assert await asyncio.to_thread(send, port, protocol, odd) == ReplyStatus.OK
    assert await asyncio.to_thread(send, port, protocol, []) == ReplyStatus.OK
    assert await asyncio.to_thread(send, port, protocol, odd * 2) is None
    source.stop()
    await asyncio.wait_for(taking, 5)
    await source.close()
    assert [(batch.text, batch.headers) for batch in taken] == [
        (b"\xff\x00", (("h\ufffd", b"\xfe"),)),
        (b"x" * 900_000, ()),
    ]
