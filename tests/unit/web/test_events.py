"""Server-sent events: many listeners, one producer, no queue."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import BaseTestServer, TestServer

from app.web import events
from app.web.events import Feed, Frame, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Source:
    """Produces numbered frames of the size that a test sets."""

    def __init__(self, size: int = 10) -> None:
        self.made = 0
        self.greeted: list[int] = []
        self.size = size
        self.failing = False
        self.feed = Feed(self.produce, self.greet)

    async def produce(self) -> Frame:
        """The next frame."""
        self.made += 1
        if self.failing:
            raise RuntimeError("as a test wants it")
        return Frame(self.made, encode("state", [self.made, "x" * self.size], self.made))

    async def greet(self, last: int) -> bytes:
        """The first bytes."""
        self.greeted.append(last)
        return encode("hello", {"last": last})


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "INTERVAL_SECONDS", 0.0)  # as fast as may be: ten a second


class Pages:
    """Opens streams that end with the test."""

    def __init__(self, server: BaseTestServer, session: ClientSession) -> None:
        self.server = server
        self._session = session
        self._opened: list[ClientResponse] = []

    async def open(self, **headers: str) -> ClientResponse:
        """Open one more."""
        url = self.server.make_url("/")
        response = await self._session.get(url, headers=headers, read_bufsize=1 << 25)
        self._opened.append(response)
        return response

    def close(self) -> None:
        """Close all."""
        for response in self._opened:
            response.close()


@asynccontextmanager
async def serving(source: Source) -> AsyncIterator[Pages]:
    app = web.Application()
    app.router.add_get("/", source.feed.stream)
    async with TestServer(app) as server, ClientSession() as session:
        pages = Pages(server, session)
        yield pages
        pages.close()
        source.feed.close()


@asynccontextmanager
async def silent(pages: Pages) -> AsyncIterator[asyncio.StreamReader]:
    """A stream that is not read until the test reads it."""
    reader, writer = await asyncio.open_connection(pages.server.host, pages.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    yield reader
    writer.transport.abort()


async def next_event(response: Any) -> tuple[str, Any]:
    """Name and data of the next event."""
    fields = {}
    while (
        line := (await response.content.readline()).decode().rstrip("\n")
    ) or "data" not in fields:
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields["event"], json.loads(fields["data"])


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - sockets set no event
            await asyncio.sleep(0.01)


async def test_all_listeners_get_the_same_frames() -> None:
    """A hundred pages cost one frame each interval; each gets its greeting first."""
    source = Source()
    async with serving(source) as pages:
        opened = [await pages.open() for _ in range(100)]
        assert opened[0].headers["Content-Type"].startswith("text/event-stream")
        assert {(await next_event(page))[0] for page in opened} == {"hello"}
        firsts = [await next_event(page) for page in opened]
        assert {name for name, _ in firsts} == {"state"}
        most = max(data[0] for _, data in firsts)
        assert source.feed.listeners == 100
        assert source.made <= most + 5


async def test_nothing_is_produced_without_listeners() -> None:
    """The producer stops with the last listener and restarts with the next one."""
    source = Source()
    async with serving(source) as pages:
        page = await pages.open()
        await next_event(page)
        await next_event(page)
        page.close()
        await until(lambda: source.feed.listeners == 0)
        await asyncio.sleep(0.3)
        made = source.made
        await asyncio.sleep(0.3)
        assert source.made == made
        again = await pages.open()
        await next_event(again)
        assert (await next_event(again))[1][0] > made


async def test_a_page_that_reconnects_sends_its_last_id() -> None:
    """Last-Event-ID reaches the greeting; a value that is not a number is ignored."""
    source = Source()
    async with serving(source) as pages:
        for sent in ("1700000000123", "-1", "1e3", "٣", "9" * 40):
            await pages.open(**{"Last-Event-ID": sent})
        assert source.greeted == [1700000000123, 0, 0, 0, 0]


async def test_a_slow_listener_skips_frames_and_delays_no_other() -> None:
    """Its frame is replaced, not queued, so it gets the newest one afterwards."""
    source = Source(size=4_000_000)  # more than the buffers of sockets
    async with serving(source) as pages, silent(pages) as slow:
        quick = await pages.open()
        await next_event(quick)
        async with asyncio.timeout(60):
            for _ in range(8):
                latest = (await next_event(quick))[1][0]
            seen: list[int] = []
            rest = b""
            while not seen or seen[-1] < latest:
                rest += await slow.read(1 << 20)
                found = [int(number) for number in re.findall(rb"\nid: ([0-9]+)\n", rest)]
                seen += [number for number in found if number not in seen]
                rest = rest[-20:]
        # A frame or two wait in the sockets themselves, as large as the system makes them.
        assert len(seen) < seen[-1] - seen[0] + 1


async def test_a_listener_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended page does not hold its frame for ever."""
    monkeypatch.setattr(events, "SLOW_SECONDS", 0.3)
    source = Source(size=8_000_000)
    async with serving(source) as pages, silent(pages):
        await until(lambda: source.feed.listeners == 1)
        await until(lambda: source.feed.listeners == 0)


async def test_closing_ends_all_streams_at_once() -> None:
    """A worker that stops waits for no page, and accepts no new one."""
    source = Source()
    async with serving(source) as pages:
        opened = [await pages.open() for _ in range(10)]
        source.feed.close()
        async with asyncio.timeout(5):
            for page in opened:
                await page.read()
        assert source.feed.listeners == 0
        refused = await pages.open()
        assert (refused.status, "Retry-After" in refused.headers) == (503, True)


async def test_streams_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many gets a 503 with Retry-After."""
    monkeypatch.setattr(events, "MAX_LISTENERS", 2)
    source = Source()
    async with serving(source) as pages:
        answers = [await pages.open() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 503]
        assert "Retry-After" in answers[2].headers


async def test_a_failure_to_produce_ends_no_stream(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged, and the next frame follows."""
    source = Source()
    source.failing = True
    async with serving(source) as pages:
        page = await pages.open()
        await next_event(page)
        await until(lambda: source.made > 2)
        source.failing = False
        assert (await next_event(page))[0] == "state"
    assert "a frame of the page failed" in caplog.text


def test_an_event_is_lines_of_text() -> None:
    """A newline in the data does not end the event."""
    encoded = encode("state", {"word": "a\nb\r\u2028 é\ud800"}, 7).decode()
    assert encoded.startswith("id: 7\nevent: state\ndata: ")
    assert encoded.endswith("}\n\n")
    assert encoded.count("\n") == 4
    assert "\r" not in encoded
