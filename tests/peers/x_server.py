"""X's filtered stream as its documentation describes it, with every failure that it lists.

    x_server.py PORT LOG POSTS RATE ACTS

Serves numbered posts, RATE a second (0: as fast as they are read). The file POSTS holds their
number, which may grow. ACTS is a JSON list with the treatment of each connection in turn.
Connections after the last one get all remaining posts, and then keep-alives. LOG gets a line of
JSON for each request. The keys of an act:

    status, headers, body   an answer instead of the stream
    posts                   number of posts before the action `then`
    then                    close, abort, half (a post's first half, then abort), stall, disconnect,
                            huge (a message of 100 MB), strange (no posts, then the rest)
    again                   number of earlier posts that are sent again first
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN = "secret-token-of-the-tests"  # noqa: S105 - it opens nothing else
KEEP_ALIVE_SECONDS = 0.2
# An hour ago: Kafka deletes what is older than its retention. Peers inherit it from the test.
FIRST_MS = int(os.environ.setdefault("PEER_FIRST_MS", str((int(time.time()) - 3600) * 1000)))

STRANGE = (
    b"not JSON\r\n",
    b"[1, 2]\r\n",
    b"\xff\xfe\r\n",
    b'{"data": {"id": "1"}}\r\n',
    b'{"data": null}\r\n',
    b'{"new": {"kind": "of message"}}\r\n',
)


def post(number: int) -> bytes:
    """Post `number` as X sends it: some are long, some hold odd text or a wrong time."""
    text = f"post {number} of many"
    data: dict[str, Any] = {"id": str(10**18 + number), "text": text}
    if number % 10 == 1:
        data |= {"text": text[:6], "note_tweet": {"text": text}}
    if number % 10 != 2:
        moment = time.gmtime(FIRST_MS // 1000 + number % 3600)
        data["created_at"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", moment)
    return json.dumps({"data": data, "matching_rules": [{"id": "1", "tag": ""}]}).encode() + b"\r\n"


class Server:
    """The endpoints and the position of the stream."""

    def __init__(self, log: str, posts: str, rate: float, acts: list[dict[str, Any]]) -> None:
        self._log = log
        self._file = Path(posts)
        self._rate = rate
        self._acts = acts
        self._next = 0
        self._rules: dict[str, str] = {}

    @property
    def _posts(self) -> int:
        return int(self._file.read_text())

    def _note(self, **fields: object) -> None:
        with open(self._log, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps({"at": time.time(), **fields}) + "\n")

    @web.middleware
    async def authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuse every token except that of the tests."""
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._note(path=request.path, status=401)
            return web.json_response({"title": "Unauthorized", "status": 401}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def rules(self, request: web.Request) -> web.Response:
        """List, add or delete rules."""
        errors = []
        if request.method == "POST":
            body = await request.json()
            self._note(path=request.path, body=body)
            for rule in body.get("add", ()):
                if rule["value"] in self._rules.values():
                    errors.append({"title": "DuplicateRule", "value": rule["value"]})
                elif "(" in rule["value"]:
                    error = {"title": "InvalidRule", "value": rule["value"]}
                    errors.append({**error, "details": ["missing a closing parenthesis"]})
                else:
                    self._rules[str(len(self._rules) + 1)] = rule["value"]
            for number in body.get("delete", {}).get("ids", ()):
                del self._rules[number]
        data = [{"id": number, "value": value} for number, value in self._rules.items()]
        answer = {"data": data, "meta": {"sent": "2026-01-01T00:00:00.000Z"}, "errors": errors}
        return web.json_response({key: value for key, value in answer.items() if value})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Serve the stream, or the answer of an act."""
        act = self._acts.pop(0) if self._acts else {}
        self._note(path=request.path, query=dict(request.query), status=act.get("status", 200))
        if "status" in act:
            headers = dict(act.get("headers", {}))
            if "reset_in" in act:
                headers["x-rate-limit-reset"] = str(int(time.time() + act["reset_in"]))
            return web.json_response(act.get("body"), status=act["status"], headers=headers)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._next = max(0, self._next - act.get("again", 0))
        if "backfill_minutes" in request.query:
            self._next = 0
        await self._send(response, min(self._posts, self._next + act.get("posts", self._posts)))
        await getattr(self, "_" + act.get("then", "keep"))(request, response)
        return response

    async def _send(self, response: web.StreamResponse, end: int) -> None:
        step = max(1, int(self._rate / 20)) if self._rate else 500
        while self._next < end:
            last = min(end, self._next + step)
            await response.write(b"".join(map(post, range(self._next, last))))
            self._next = last
            await asyncio.sleep(step / self._rate if self._rate else 0)

    async def _keep(self, request: web.Request, response: web.StreamResponse) -> None:
        while True:
            await self._send(response, self._posts)
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await response.write(b"\r\n")

    async def _close(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.write_eof()

    async def _abort(self, request: web.Request, response: web.StreamResponse) -> None:
        await asyncio.sleep(0.1)  # otherwise a reset drops the bytes that were just sent
        assert request.transport is not None
        request.transport.abort()

    async def _half(self, request: web.Request, response: web.StreamResponse) -> None:
        await response.write(post(self._next)[:40])
        await self._abort(request, response)

    async def _stall(self, request: web.Request, response: web.StreamResponse) -> None:
        await asyncio.sleep(3600)

    async def _disconnect(self, request: web.Request, response: web.StreamResponse) -> None:
        error = {
            "title": "operational-disconnect",
            "disconnect_type": "UpstreamOperationalDisconnect",
            "detail": "This stream has been disconnected for operational reasons.",
        }
        await response.write(json.dumps({"errors": [error]}).encode() + b"\r\n")

    async def _huge(self, request: web.Request, response: web.StreamResponse) -> None:
        for _ in range(100):
            await response.write(b"x" * 1_000_000)

    async def _strange(self, request: web.Request, response: web.StreamResponse) -> None:
        for line in STRANGE:
            await response.write(line)
        await self._keep(request, response)


def main(port: str, log: str, posts: str, rate: str, acts: str) -> None:
    """Serve until killed."""
    server = Server(log, posts, float(rate), json.loads(acts))
    app = web.Application(middlewares=[server.authorized])
    app.router.add_route("*", "/2/tweets/search/stream/rules", server.rules)
    app.router.add_get("/2/tweets/search/stream", server.stream)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
