"""Requests to other workers: in time, over pooled connections, with the token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.queries import peers as module
from app.queries.merge import NotServingError
from app.queries.peers import Peers
from tests.unit.queries.fake_worker import FakeWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKEN = "a-token-of-20-letters"  # noqa: S105 - a test's own
OWN = "http://127.0.0.1:6066"


class Other:
    """Another worker: records its requests and answers them."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.connections: set[Any] = set()
        self.answer: Any = web.json_response
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self.server = TestServer(app)

    async def _handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        found = self.answer({"ok": 1})
        response: web.Response = await found if asyncio.iscoroutine(found) else found
        return response

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.server.make_url("")).rstrip("/")


@pytest.fixture
async def other() -> AsyncIterator[Other]:
    made = Other()
    async with made.server:
        yield made


@pytest.fixture
async def peers(other: Other) -> AsyncIterator[Peers]:
    worker = FakeWorker(OWN, WORDCOUNT_WEB_TOKEN=TOKEN)
    worker.assigned = {OWN: [0, 2], other.url: [1]}
    made = Peers(worker)
    yield made
    await made.close()


def test_the_assignment_names_the_owner_of_each_partition(peers: Peers, other: Other) -> None:
    """The other workers that own partitions are peers; an unowned partition is an error."""
    assert peers.others() == [other.url]
    assert (peers.owner(0), peers.owner(1)) == (None, other.url)
    with pytest.raises(NotServingError, match="no worker owns partition 3"):
        peers.owner(3)


async def test_requests_carry_the_token_and_share_connections(peers: Peers, other: Other) -> None:
    """Consecutive requests use one connection; concurrent ones open at most eight."""
    for number in range(5):
        assert await peers.ask(other.url, "api/local/top", {"n": str(number)}) == {"ok": 1}
    assert len(other.connections) == 1
    assert other.requests[4].query["n"] == "4"
    assert other.requests[4].headers["Authorization"] == f"Bearer {TOKEN}"
    await asyncio.gather(*(peers.ask(other.url, "api/local/top", {}) for _ in range(50)))
    assert len(other.connections) <= 8


async def test_a_worker_that_answers_too_late_does_not_answer(
    peers: Peers, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request ends at the deadline while the other worker hangs."""
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.2)

    async def hang(_: Any) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError

    other.answer = hang
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotServingError, match=r"does not answer \(timed out\)"):
        await peers.ask(other.url, "api/local/top", {})
    assert asyncio.get_running_loop().time() - began < 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: web.json_response({"error": "a rebalance"}, status=503), "answers: a rebalance"),
        (lambda _: web.Response(text="<html>"), "does not answer"),
        (lambda _: web.json_response([1], status=500), "is not a worker"),
        (lambda _: web.HTTPFound("http://elsewhere.example/"), "does not answer"),
    ],
    ids=["unavailable", "not JSON", "not an object", "redirect"],
)
async def test_any_other_response_is_an_error(
    peers: Peers, other: Other, answer: Any, reason: str
) -> None:
    """A refusal keeps its reason; another kind of server or a redirect is no worker."""
    other.answer = answer
    with pytest.raises(NotServingError, match=reason):
        await peers.ask(other.url, "api/local/top", {})


async def test_a_worker_that_is_down_is_reported_with_the_reason(peers: Peers) -> None:
    """A worker that was killed refuses connections."""
    with pytest.raises(NotServingError, match="connection refused"):
        await peers.ask("http://127.0.0.1:9", "api/local/top", {})
