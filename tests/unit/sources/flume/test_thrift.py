"""Calls of Flume are decoded in both protocols; other frames are refused."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from app.sources.flume.thrift import (
    Append,
    AppendBatch,
    Event,
    MalformedError,
    ReplyStatus,
    Result,
    decode,
    refuse,
    reply,
)

PROTOCOLS = (TCompactProtocol, TBinaryProtocol)


def frame(
    protocol: type, method: str, arguments: Any, kind: int = TMessageType.CALL, number: int = 7
) -> bytes:
    """Encode a call with the library's own Python codec."""
    buffer = TMemoryBuffer()
    writer = protocol(buffer)
    writer.writeMessageBegin(method, kind, number)
    arguments.write(writer)
    writer.writeMessageEnd()
    return bytes(buffer.getvalue())


def batch(*events: Event) -> object:
    return AppendBatch(events=list(events))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_events_are_read_with_their_headers_as_bytes(protocol: type) -> None:
    """Neither bodies nor headers need to be UTF-8."""
    events = [
        Event(headers={b"h\xff": b"v\x00"}, body=b"\xff\x00line"),
        Event(headers={}, body=b""),
    ]
    call = decode(frame(protocol, "appendBatch", batch(*events)))
    assert (call.method, call.number, call.events) == ("appendBatch", 7, events)
    one = decode(frame(protocol, "append", Append(event=events[0])))
    assert one.events == events[:1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", list(ReplyStatus))
def test_a_reply_has_the_calls_protocol_and_number(protocol: type, status: ReplyStatus) -> None:
    """The reply is framed and carries the status."""
    sent = reply(decode(frame(protocol, "append", Append(event=Event()))), status)
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4
    reader = protocol(TMemoryBuffer(sent[4:]))
    assert reader.readMessageBegin() == ("append", TMessageType.REPLY, 7)
    result = Result()
    result.read(reader)
    assert result.success == status


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_unknown_method_is_refused_as_thrift_does(protocol: type) -> None:
    """The peer gets Thrift's exception for unknown methods, with the name."""
    call = decode(frame(protocol, "getStatus", Event()))
    assert call.events is None
    reader = protocol(TMemoryBuffer(refuse(call)[4:]))
    assert reader.readMessageBegin()[:2] == ("getStatus", TMessageType.EXCEPTION)
    error = TApplicationException()
    error.read(reader)
    assert error.type == TApplicationException.UNKNOWN_METHOD


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x82",
        b"\x82\x21\x01\x06append",
        b"\x80\x01\x00\x01\x7f\xff\xff\xff",
        frame(TCompactProtocol, "append", Append()),
        frame(TBinaryProtocol, "append", Append(event=Event()), TMessageType.REPLY),
    ],
)
def test_a_frame_without_a_call_is_malformed(garbage: bytes) -> None:
    """The error has a message, and no other exception is raised."""
    with pytest.raises(MalformedError) as caught:
        decode(garbage)
    assert str(caught.value)


@given(
    st.sampled_from(PROTOCOLS),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    st.integers(0, 200),
)
def test_damaged_frames_raise_no_other_error(
    protocol: type, damage: list[tuple[int, int]], length: int
) -> None:
    """Wrong lengths and types only raise MalformedError."""
    events = [Event(headers={b"host": b"a"}, body=b"line %d" % n) for n in range(5)]
    damaged = bytearray(frame(protocol, "appendBatch", batch(*events)))
    for place, value in damage:
        damaged[place % len(damaged)] = value
    with suppress(MalformedError):
        decode(bytes(damaged[:length]))
