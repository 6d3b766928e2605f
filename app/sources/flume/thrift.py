"""Flume's Thrift protocol: decodes calls of ThriftSourceProtocol and encodes the replies.

The structures are those of flume-ng-sdk's flume.thrift, described as the Thrift compiler would
describe them, so that the library's C decoder reads a whole call at once. Names and values of
headers stay bytes: they need not be UTF-8.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from app.sources.extras import extra

with extra("flume"):
    from thrift.protocol.TBase import TBase
    from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
    from thrift.protocol.TCompactProtocol import TCompactProtocolAccelerated
    from thrift.Thrift import TApplicationException, TMessageType, TType
    from thrift.transport.TTransport import TMemoryBuffer

__all__ = [
    "Append",
    "AppendBatch",
    "Call",
    "Event",
    "MalformedError",
    "ReplyStatus",
    "Result",
    "decode",
    "refuse",
    "reply",
]

_PROTOCOLS = {b"\x82": TCompactProtocolAccelerated, b"\x80": TBinaryProtocolAccelerated}
"""The protocols, by the first byte of a frame."""


class MalformedError(Exception):
    """A frame does not hold a call of Flume."""


class ReplyStatus(enum.IntEnum):
    """The result of a call; after any other than OK, Flume sends the events again."""

    OK = 0
    FAILED = 1
    ERROR = 2
    UNKNOWN = 3


class _Struct(TBase):
    __slots__: tuple[str, ...] = ()
    thrift_spec: Any = ()

    def __init__(self, **fields: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, fields.get(name))


class Event(_Struct):
    """An event: its headers and its body, as bytes."""

    __slots__ = ("body", "headers")
    headers: dict[bytes, bytes] | None
    body: bytes | None


Event.thrift_spec = (
    None,
    (1, TType.MAP, "headers", (TType.STRING, "BINARY", TType.STRING, "BINARY", False), None),
    (2, TType.STRING, "body", "BINARY", None),
)


class Append(_Struct):
    """The arguments of `append`: one event."""

    __slots__ = ("event",)


Append.thrift_spec = (None, (1, TType.STRUCT, "event", [Event, Event.thrift_spec], None))


class AppendBatch(_Struct):
    """The arguments of `appendBatch`: a list of events."""

    __slots__ = ("events",)


AppendBatch.thrift_spec = (
    None,
    (1, TType.LIST, "events", (TType.STRUCT, [Event, Event.thrift_spec], False), None),
)


class Result(_Struct):
    """The result of both calls: a ReplyStatus."""

    __slots__ = ("success",)


Result.thrift_spec = ((0, TType.I32, "success", None, None),)

_ARGUMENTS = {"append": Append, "appendBatch": AppendBatch}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a peer; `events` is None if Flume's sources have no such method."""

    protocol: type[Any]
    method: str
    number: int
    events: list[Event] | None


def decode(frame: bytes) -> Call:
    """Decode a frame in the compact or the binary protocol. Raises MalformedError."""
    kind = _PROTOCOLS.get(frame[:1])
    if kind is None:
        raise MalformedError("the frame is neither in the compact nor in the binary protocol")
    # No length in a frame exceeds the frame: a wrong one fails before memory is allocated.
    protocol = kind(
        TMemoryBuffer(frame),
        string_length_limit=len(frame),
        container_length_limit=len(frame),
    )
    try:
        method, message, number = protocol.readMessageBegin()
        arguments = _ARGUMENTS.get(method, _Struct)()
        arguments.read(protocol)
    except Exception as error:
        # The decoder raises EOFError, TypeError, OverflowError, UnicodeDecodeError and its own.
        raise MalformedError(str(error) or "the frame ends too early") from None
    if message != TMessageType.CALL:
        raise MalformedError("the message is not a call")
    return Call(kind, method, number, _events(method, arguments))


def _events(method: str, arguments: Any) -> list[Event] | None:
    if method not in _ARGUMENTS:
        return None
    given = [arguments.event] if method == "append" else arguments.events
    if given is None or None in given:
        raise MalformedError(f"{method} carries no event")
    return list(given)


def reply(call: Call, status: ReplyStatus) -> bytes:
    """Encode the answer to a call."""
    return _frame(call, TMessageType.REPLY, Result(success=int(status)))


def refuse(call: Call) -> bytes:
    """Encode the exception for an unknown method."""
    error = TApplicationException(
        TApplicationException.UNKNOWN_METHOD, f"Flume's Thrift sources have no {call.method}"
    )
    return _frame(call, TMessageType.EXCEPTION, error)


def _frame(call: Call, kind: int, content: Any) -> bytes:
    buffer = TMemoryBuffer()
    protocol = call.protocol(buffer)
    protocol.writeMessageBegin(call.method, kind, call.number)
    content.write(protocol)
    protocol.writeMessageEnd()
    body: bytes = buffer.getvalue()
    return len(body).to_bytes(4, "big") + body
