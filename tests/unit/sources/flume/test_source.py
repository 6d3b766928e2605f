"""Calls of Flume's become batches, and are answered when Kafka has them, not before."""

import asyncio
import socket
import time
from contextlib import closing, suppress

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport, TTransportException

from app.errors import ConfigurationError
from app.sources.base import Batch
from app.sources.flume import source as flume
from app.sources.flume import thrift as flume_thrift
from app.sources.flume.source import FlumeSource, _batches, _event_time, _Request, _Room
from app.sources.flume.thrift import Call, Event, Status, reply
from app.sources.tcp.connection import enable_keepalive

NOW_MS = 1_750_000_000_000


def batches(*events: Event) -> list[Batch]:
    return list(_batches(_Request(3, list(events), 0.0, asyncio.Event())))


def test_events_alike_share_a_batch_and_the_last_carries_the_call() -> None:
    """Bodies are lines, a newline at their end apart; others' headers make others' batches."""
    host = {b"host": b"a"}
    found = batches(
        Event(body=b"one"),
        Event(headers={}, body=b"two\nthree\n"),
        Event(headers=host, body=b"four"),
        Event(headers=dict(host), body=None),
    )
    assert found == [
        Batch(b"one\ntwo\nthree", 3),
        Batch(b"four\n", 2, position=3, headers=(("host", b"a"),)),
    ]


def test_a_timestamp_header_is_the_event_time_and_stays_a_header() -> None:
    """What Flume's timestamp interceptor adds."""
    text = b"%d" % (time.time_ns() // 1_000_000)
    (batch,) = batches(Event(headers={b"timestamp": text}, body=b"x"))
    assert (batch.timestamp_ms, batch.headers) == (int(text), (("timestamp", text),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1750000000000", NOW_MS),
        (b"1750000000", None),
        (b"", None),
        (b"-1", None),
        (b"soon", None),
        (b"9" * 10_000, None),
        ("²".encode(), None),
    ],
)
def test_only_sane_timestamps_count(text: bytes, expected: int | None) -> None:
    """Seconds, words and endless numbers are no event times."""
    assert _event_time(text) == expected


def call(*events: Event) -> Call:
    return Call(TBinaryProtocol, "appendBatch", 1, list(events))


async def test_a_call_is_answered_ok_once_it_is_acknowledged() -> None:
    """Up to its number, and no later one."""
    source = FlumeSource("127.0.0.1", 0)
    first, second = call(Event(body=b"1")), call(Event(body=b"2"))
    answers = [asyncio.create_task(source._answer(one)) for one in (first, second)]
    await asyncio.sleep(0)
    await source.acknowledge(1)
    assert await answers[0] == reply(first, Status.OK)
    assert not answers[1].done()
    await source.acknowledge(2)
    assert await answers[1] == reply(second, Status.OK)
    assert await source._answer(call()) == reply(call(), Status.OK)


async def test_while_kafka_is_away_calls_fail_and_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else Flume, which tries again and again, would fill memory with the same events."""
    monkeypatch.setattr(flume, "_SECONDS_TO_WAIT", 0.0)
    source = FlumeSource("127.0.0.1", 0)
    waiting = asyncio.create_task(source._answer(call(Event(body=b"1"))))
    await asyncio.sleep(0.01)
    again = call(Event(body=b"2"))
    assert await source._answer(again) == reply(again, Status.FAILED)
    assert source._taken.qsize() == 1
    waiting.cancel()


async def test_frames_wait_for_room_and_a_larger_one_has_it_alone() -> None:
    """Memory is bounded, and nobody waits for ever."""
    room = _Room(100)
    order: list[str] = []

    async def hold(name: str, size: int, until: asyncio.Event) -> None:
        async with room.held(size):
            order.append(name)
            await until.wait()

    first, rest = asyncio.Event(), asyncio.Event()
    rest.set()
    tasks = [asyncio.create_task(hold("60", 60, first))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(hold(str(size), size, rest)) for size in (50, 200)]
    await asyncio.sleep(0.01)
    assert order == ["60"]
    first.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["60", "50", "200"]


async def test_a_port_in_use_is_said_in_one_line() -> None:
    """With what to do about it."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{port}"):
        await FlumeSource("127.0.0.1", port).open()
    server.close()


def send(port: int, protocol: type, events: list[Event]) -> int | None:
    """Send events by the Thrift library's own framed client; the status that comes back."""
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


async def test_dead_peers_give_their_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel asks after a minute of silence, not after its own two hours."""
    silences: list[int] = []

    def watch(peer: socket.socket) -> None:
        enable_keepalive(peer)
        silences.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    monkeypatch.setattr(flume, "enable_keepalive", watch)
    source = FlumeSource("127.0.0.1", 0)
    await source.open()
    assert source._server is not None
    port = source._server.sockets[0].getsockname()[1]
    assert await asyncio.to_thread(send, port, TBinaryProtocol, []) == Status.OK
    assert silences == [60]
    await source.close()


@pytest.mark.parametrize("protocol", [TCompactProtocol, TBinaryProtocol])
async def test_a_thrift_client_sends_whatever_bytes_and_hears_ok(protocol: type) -> None:
    """Through a socket: odd bytes as they are, an empty call, one that is longer than allowed."""
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
    assert await asyncio.to_thread(send, port, protocol, odd) == Status.OK
    assert await asyncio.to_thread(send, port, protocol, []) == Status.OK
    assert await asyncio.to_thread(send, port, protocol, odd * 2) is None
    source.stop()
    await asyncio.wait_for(taking, 5)
    await source.close()
    assert [(batch.text, batch.headers) for batch in taken] == [
        (b"\xff\x00", (("h\ufffd", b"\xfe"),)),
        (b"x" * 900_000, ()),
    ]
