"""Jetstream's WebSocket as its documentation describes it: JSON events, starting at a cursor.

    jetstream_server.py PORT LOG POSTS RATE ACTS

Serves numbered events, RATE a second (0: as fast as they are read): those at the cursor and later,
or all without one. The file POSTS holds their number, which may grow. ACTS is a JSON list with the
treatment of each connection in turn; connections after the last one get all remaining events. LOG
gets a line of JSON for each request. The keys of an act:

    status    an answer instead of the stream
    posts     number of events before the action `then`
    then      close, abort, stall, huge (a message of 100 MB), strange (no events, then all)
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, web

# An hour ago: Kafka deletes what is older than its retention. Peers inherit it from the test.
FIRST_MS = int(os.environ.setdefault("PEER_FIRST_MS", str((int(time.time()) - 3600) * 1000)))
FIRST_US = FIRST_MS * 1000

STRANGE = (
    "not JSON",
    "[]",
    '{"kind": "commit", "time_us": "soon"}',
    '{"kind": "commit", "time_us": 1, "commit": null, "did": "did:plc:x"}',
    "[" * 100_000,
)


def time_us(number: int) -> int:
    """The time of event `number`; every tenth has the time of the event before it."""
    return FIRST_US + (number - (number % 10 == 9)) * 1000


def event(number: int) -> str:
    """Event `number`: a new post; a few are likes, deletions or changes of names."""
    base: dict[str, Any] = {"did": f"did:plc:{number % 97}", "time_us": time_us(number)}
    if number % 50 == 7:
        return json.dumps({**base, "kind": "identity", "identity": {"handle": "a.test"}})
    commit: dict[str, Any] = {
        "rev": "3l",
        "operation": "delete" if number % 50 == 8 else "create",
        "collection": "app.bsky.feed.like" if number % 50 == 11 else "app.bsky.feed.post",
        "rkey": f"r{number}",
    }
    if commit["operation"] == "create":
        text = f"skeet {number} of many" + ("\ud800" if number % 50 == 12 else "")
        commit["record"] = {"text": text, "createdAt": "1970-01-01T00:00:00Z"}
    return json.dumps({**base, "kind": "commit", "commit": commit})


def is_post(number: int) -> bool:
    """Whether event `number` is a new post."""
    return number % 50 not in (7, 8, 11)


def lines(events: int) -> list[bytes]:
    """The lines of the posts among the first events."""
    return [
        b"skeet %d of many" % n + (b"?" if n % 50 == 12 else b"")
        for n in range(events)
        if is_post(n)
    ]


class Server:
    """The endpoint."""

    def __init__(self, log: str, events: str, rate: float, acts: list[dict[str, Any]]) -> None:
        self._log = log
        self._file = Path(events)
        self._rate = rate
        self._acts = acts

    @property
    def _events(self) -> int:
        return int(self._file.read_text())

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        """Serve the stream, or the answer of an act."""
        act = self._acts.pop(0) if self._acts else {}
        with open(self._log, "a", encoding="utf-8") as file:  # noqa: PTH123, ASYNC230
            file.write(json.dumps({"at": time.time(), "query": dict(request.query)}) + "\n")
        if "status" in act:
            return web.Response(status=act["status"])
        stream = web.WebSocketResponse(autoping=act.get("then") != "stall")
        await stream.prepare(request)
        cursor = int(request.query.get("cursor", 0))
        first = next((n for n in range(self._events) if time_us(n) >= cursor), self._events)
        if act.get("then") == "strange":
            for message in STRANGE:
                await stream.send_str(message)
            await stream.send_bytes(b"\x28\xb5\x2f\xfd")
        last = min(self._events, first + act.get("posts", self._events))
        await self._send(stream, first, last)
        await getattr(self, "_" + act.get("then", "keep"))(request, stream)
        return stream

    async def _send(self, stream: web.WebSocketResponse, first: int, last: int) -> None:
        step = max(1, int(self._rate / 20)) if self._rate else 500
        for start in range(first, last, step):
            for number in range(start, min(start + step, last)):
                await stream.send_str(event(number))
            await asyncio.sleep(step / self._rate if self._rate else 0)
        stream["next"] = last

    async def _keep(self, request: web.Request, stream: web.WebSocketResponse) -> None:
        while not stream.closed:
            await self._send(stream, stream["next"], self._events)
            with suppress(TimeoutError):
                await stream.receive(0.2)

    _strange = _keep

    async def _close(self, request: web.Request, stream: web.WebSocketResponse) -> None:
        await stream.close(code=WSCloseCode.SERVICE_RESTART)

    async def _abort(self, request: web.Request, stream: web.WebSocketResponse) -> None:
        assert request.transport is not None
        request.transport.abort()

    async def _stall(self, request: web.Request, stream: web.WebSocketResponse) -> None:
        await asyncio.sleep(3600)

    async def _huge(self, request: web.Request, stream: web.WebSocketResponse) -> None:
        await stream.send_str("x" * 100_000_000)


def main(port: str, log: str, events: str, rate: str, acts: str) -> None:
    """Serve until killed."""
    server = Server(log, events, float(rate), json.loads(acts))
    app = web.Application()
    app.router.add_get("/subscribe", server.subscribe)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
