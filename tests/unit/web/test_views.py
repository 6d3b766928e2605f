"""HTTP: questions in, JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from app.queries.merge import BadRequestError, NotServingError
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Client = TestClient[web.Request, web.Application]


class Fake:
    """Stands for whatever answers; `answer` is what it says, or raises."""

    answer: Any = None
    asked: tuple[Any, ...] = ()
    state = "working"
    reasons: tuple[str, ...] = ()

    async def _answer(self, *asked: Any) -> Any:
        self.asked = asked
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    top = word = windows = all = own = text = _answer

    def not_live(self) -> list[str]:
        """Reasons, as health gives them."""
        return list(self.reasons)

    not_ready = not_live


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def client(fake: Any) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(Views(fake, fake, fake, fake, fake).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_questions_are_handed_on_as_they_are_meant(client: Client, fake: Fake) -> None:
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


async def test_no_right_answer_means_503_and_when_to_ask_again(client: Client, fake: Fake) -> None:
    """A rebalance is told as 503 with Retry-After and the reason."""
    fake.answer = NotServingError("a rebalance is under way")
    response = await client.get("/api/top")
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert await response.json() == {"error": "a rebalance is under way"}


async def test_bad_questions_get_400(client: Client, fake: Fake) -> None:
    """What the answerer refuses, and what can't even be read, is told as 400 with the reason."""
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
async def test_a_word_that_is_not_utf8_is_no_other_word(
    client: Client, fake: Fake, path: str
) -> None:
    """Nothing is asked in its place."""
    response = await client.get(URL(path, encoded=True))
    assert (response.status, await response.json()) == (400, {"error": "the word is not UTF-8"})
    assert fake.asked == ()


async def test_a_fault_is_logged_and_told_without_its_details(
    client: Client, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is a 500 in JSON; the traceback goes to the log only."""
    fake.answer = RuntimeError("secret")
    response = await client.get("/api/windows")
    assert response.status == 500
    assert "secret" not in await response.text()
    assert "secret" in caplog.text


async def test_what_is_not_there_is_told_in_json(client: Client) -> None:
    """Unknown paths and methods are JSON errors too, and nothing may be cached."""
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
    """/metrics says which format it has."""
    fake.answer = b"up 1\n"
    response = await client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await response.text() == "up 1\n"
