"""Queries of the command line to a worker."""

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
    """A web server in a thread that sends the given answers one after another."""

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


def answered(value: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(value, status=status, headers=headers)


def test_the_answer_is_the_worker_s_json(server: Server) -> None:
    """The query reaches the worker at --url, and its JSON is returned."""
    server.answers = [answered({"word": "a/b"})]
    assert ask(server.url, "api/words", {"word": "a/b"}) == {"word": "a/b"}
    assert server.asked == ["/api/words?word=a/b"]


def test_an_address_without_a_scheme_is_http(server: Server) -> None:
    """`--url host:port` means http."""
    server.answers = [answered({})]
    assert ask(server.url.removeprefix("http://"), "api/status", {}) == {}


def test_during_a_rebalance_the_query_is_retried(server: Server) -> None:
    """After a 503 the query is sent again until the worker answers."""
    busy = {"error": "a rebalance is under way"}
    server.answers = [answered(busy, 503, **{"Retry-After": "0"}), answered({"ok": 1})]
    assert ask(server.url, "api/top", {}) == {"ok": 1}


def test_a_long_rebalance_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time limit the error has the worker's reason."""
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.5)
    server.answers = [answered({"error": "a rebalance is under way"}, 503, **{"Retry-After": "1"})]
    with pytest.raises(UnavailableError, match="can't answer now: a rebalance is under way"):
        ask(server.url, "api/top", {})


def test_a_bad_request_is_the_user_s_mistake(server: Server) -> None:
    """400 is a ConfigurationError, whose exit status is 2."""
    server.answers = [answered({"error": "n=0: must be 1 to 1000"}, 400)]
    with pytest.raises(ConfigurationError, match="n=0: must be 1 to 1000"):
        ask(server.url, "api/top", {})


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (web.Response(text="hello"), "is not a worker"),
        (web.Response(text="{", content_type="application/json"), "is not a worker"),
        (answered([1, 2]), "can't answer now: 200"),
        (answered({"error": "it has failed"}, 500), "can't answer now: it has failed"),
    ],
)
def test_other_servers_are_distinguished_from_workers(
    server: Server, response: web.Response, message: str
) -> None:
    """Any other answer is reported in one line."""
    server.answers = [response]
    with pytest.raises(UnavailableError, match=message) as raised:
        ask(server.url, "api/top", {})
    assert "\n" not in str(raised.value)


def test_a_missing_worker_is_reported_with_the_remedy() -> None:
    """The message names the command that starts a worker."""
    with pytest.raises(UnavailableError, match=r"no worker answers at http://127\.0\.0\.1:9"):
        ask("http://127.0.0.1:9", "api/top", {})


@pytest.mark.parametrize(("name", "text"), [("word", "caf\udce9"), ("window", "60000\udce9")])
def test_an_argument_that_is_not_utf8_is_refused(name: str, text: str) -> None:
    """Without those bytes the query would be for another word, or another window."""
    with pytest.raises(ConfigurationError, match=rf"{name} '.*\\udce9' is not UTF-8"):
        ask("http://127.0.0.1:9", "api/words", {name: text})


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "", "http://[::1"])
def test_invalid_addresses_are_refused(url: str) -> None:
    """The error names a wrong --url before any request is sent."""
    with pytest.raises(ConfigurationError, match="--url"):
        ask(url, "api/top", {})
