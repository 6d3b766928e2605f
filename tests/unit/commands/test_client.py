"""The command line asks a worker."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from app.commands import client
from app.commands.client import ask
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """A web server in a thread, whose answers are given one after another."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._up.wait(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._up.set()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(str(request.rel_url))
        return self.answers.pop(0)

    def stop(self) -> None:
        """Stop serving and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def said(value: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(value, status=status, headers=headers)


def test_the_answer_is_what_the_worker_says(server: Server) -> None:
    """A question goes to the worker named, with its query, and its JSON comes back."""
    server.answers = [said({"word": "a/b"})]
    assert ask(server.url, "api/words", {"word": "a/b"}) == {"word": "a/b"}
    assert server.asked == ["/api/words?word=a/b"]


def test_an_address_without_a_scheme_will_do(server: Server) -> None:
    """`--url host:port` means http."""
    server.answers = [said({})]
    assert ask(server.url.removeprefix("http://"), "api/status", {}) == {}


def test_during_a_rebalance_it_asks_again(server: Server) -> None:
    """503 is not the end: the workers are asked until they answer."""
    busy = {"error": "a rebalance is under way"}
    server.answers = [said(busy, 503, **{"Retry-After": "0"}), said({"ok": 1})]
    assert ask(server.url, "api/top", {}) == {"ok": 1}


def test_a_rebalance_that_lasts_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while it gives up, with the worker's reason."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.5)
    server.answers = [said({"error": "a rebalance is under way"}, 503, **{"Retry-After": "1"})]
    with pytest.raises(UnavailableError, match="can't answer now: a rebalance is under way"):
        ask(server.url, "api/top", {})


def test_a_bad_question_is_the_user_s_mistake(server: Server) -> None:
    """400 is a ConfigurationError, whose exit status is 2."""
    server.answers = [said({"error": "n=0: must be 1 to 1000"}, 400)]
    with pytest.raises(ConfigurationError, match="n=0: must be 1 to 1000"):
        ask(server.url, "api/top", {})


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (web.Response(text="hello"), "is not a worker"),
        (web.Response(text="{", content_type="application/json"), "is not a worker"),
        (said([1, 2]), "can't answer now: 200"),
        (said({"error": "it has failed"}, 500), "can't answer now: it has failed"),
    ],
)
def test_other_servers_are_told_from_workers(
    server: Server, response: web.Response, message: str
) -> None:
    """What answers otherwise is named in one line."""
    server.answers = [response]
    with pytest.raises(UnavailableError, match=message) as raised:
        ask(server.url, "api/top", {})
    assert "\n" not in str(raised.value)


def test_nobody_there_is_told_with_the_remedy() -> None:
    """Where nothing listens, the message says how to start a worker."""
    with pytest.raises(UnavailableError, match=r"no worker answers at http://127\.0\.0\.1:9"):
        ask("http://127.0.0.1:9", "api/top", {})


@pytest.mark.parametrize(("name", "text"), [("word", "caf\udce9"), ("window", "60000\udce9")])
def test_an_argument_that_is_not_utf8_is_refused(name: str, text: str) -> None:
    """It is not asked for without those bytes: that would be another word, or another window."""
    with pytest.raises(ConfigurationError, match=rf"{name} '.*\\udce9' is not UTF-8"):
        ask("http://127.0.0.1:9", "api/words", {name: text})


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "", "http://[::1"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    """A wrong --url is named before anything is asked."""
    with pytest.raises(ConfigurationError, match="--url"):
        ask(url, "api/top", {})
