"""The HTTP handlers of the queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from app.queries.merge import BadRequestError, NotServingError
from app.queries.rates import Rate
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Client = TestClient[web.Request, web.Application]


class Fake:
    """Stands for every query; `answer` is returned, or raised if it is an exception."""

    answer: Any = None
    asked: tuple[Any, ...] = ()
    state = "working"
    reasons: tuple[str, ...] = ()
    application_id = "wordcount"

    def __init__(self) -> None:
        self.counts = self.local = self.status = self.health = self.metrics = self
        self.own_rates = self

    async def _answer(self, *asked: Any) -> Any:
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    top = word = windows = all = own = text = _answer

    def since(self, second: int) -> list[Rate]:
        """One second of rates."""
        return [Rate(second + 1, 2.0, 3.0)]

    def not_live(self) -> list[str]:
        """The reasons of the health."""
        return list(self.reasons)

    not_ready = not_live


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def client(fake: Any) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(Views(fake).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_paths_and_queries_are_parsed(client: Client, fake: Fake) -> None:
    """Numbers, times and words are read from the query and the path."""
    fake.answer = {}
    for path, asked in (
        ("/api/top", (20, None)),
        ("/api/top?n=5&window=1970-01-01T00:01:00Z", (5, 60_000)),
        ("/api/words/a%2Fb", ("a/b",)),
        ("/api/words/a/b", ("a/b",)),
        ("/api/words?word=a%26b", ("a&b",)),
        ("/api/local/top?n=3&before=9", (3, None, 9)),
        ("/api/local/top?n=3&before=9&start=0", (3, 0, 9)),
        ("/api/local/word?partition=2&word=x", (2, "x")),
        ("/api/windows", ()),
        ("/api/local/windows", ()),
        ("/api/status", ()),
        ("/api/local/status", ()),
    ):
        response = await client.get(path)
        assert (response.status, fake.asked) == (200, asked), path
        assert response.content_type == "application/json"


async def test_without_a_right_answer_the_status_is_503_with_retry_after(
    client: Client, fake: Fake
) -> None:
    """A rebalance is answered with 503, Retry-After and the reason."""
    fake.answer = NotServingError("a rebalance is under way")
    response = await client.get("/api/top")
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert await response.json() == {"error": "a rebalance is under way"}


async def test_bad_requests_are_answered_with_400(client: Client, fake: Fake) -> None:
    """A refused query and an unreadable one are answered with 400 and the reason."""
    fake.answer = BadRequestError("the word is empty")
    response = await client.get("/api/words")
    assert (response.status, await response.json()) == (400, {"error": "the word is empty"})
    for path in ("/api/top?n=", "/api/top?n=1_0", "/api/top?window=", "/api/local/top?n=1"):
        response = await client.get(path)
        assert response.status == 400
        assert set(await response.json()) == {"error"}


@pytest.mark.parametrize(
    "path", ["/api/words/caf%E9", "/api/words?word=caf%E9", "/api/words/%ED%A0%80"]
)
async def test_a_word_that_is_not_utf8_is_refused(client: Client, fake: Fake, path: str) -> None:
    """No other word is looked up in its place."""
    response = await client.get(URL(path, encoded=True))
    assert (response.status, await response.json()) == (400, {"error": "the word is not UTF-8"})
    assert fake.asked == ()


async def test_an_unexpected_error_is_logged_and_answered_without_details(
    client: Client, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is a 500 in JSON; the traceback goes to the log only."""
    fake.answer = RuntimeError("secret")
    response = await client.get("/api/windows")
    assert response.status == 500
    assert "secret" not in await response.text()
    assert "secret" in caplog.text


async def test_unknown_paths_and_methods_are_answered_in_json(client: Client) -> None:
    """404 and 405 are JSON errors too, and no answer may be cached."""
    response = await client.get("/table/")
    assert (response.status, await response.json()) == (404, {"error": "Not Found"})
    response = await client.post("/api/top")
    assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_health_is_200_or_503_with_reasons(client: Client, fake: Fake, path: str) -> None:
    """Any reason makes it 503."""
    assert (await client.get(path)).status == 200
    fake.reasons = ("a task is stuck",)
    response = await client.get(path)
    assert response.status == 503
    assert (await response.json())["reasons"] == ["a task is stuck"]


async def test_metrics_are_served_in_prometheus_format(client: Client, fake: Fake) -> None:
    """The content type names the format."""
    fake.answer = b"up 1\n"
    response = await client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await response.text() == "up 1\n"


async def test_rates_since_a_second_are_served_to_the_other_workers(client: Client) -> None:
    """The seconds after `since` come with the application's id; any other text is refused."""
    response = await client.get("/api/local/rates?since=1795000000")
    answer = {"id": "wordcount", "rates": [[1_795_000_001, 2.0, 3.0]]}
    assert (response.status, await response.json()) == (200, answer)
    for since in ("", "x", "-1", "1" * 16):
        response = await client.get(f"/api/local/rates?since={since}")
        assert response.status == 400
