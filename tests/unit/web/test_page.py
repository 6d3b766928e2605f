"""The page's files, as the worker serves them."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.queries.rates import Rates
from app.settings import Settings
from app.web.page import Page
from app.web.views import errors_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Client = TestClient[web.Request, web.Application]

STATIC = resources.files("app.web") / "static"


class _Feed:
    async def stream(self, _: web.Request) -> web.StreamResponse:
        """Answer nothing."""
        return web.Response()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    now = [100.0]
    done = [0]
    rates = Rates(lambda: (done[0], 10 * done[0]), lambda: now[0])
    rates.sample()
    now[0], done[0] = 101.0, 3
    rates.sample()
    feed: Any = _Feed()
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(Page(Settings.read({}), feed, rates).routes())
    async with TestClient(TestServer(app)) as made:
        yield made


class _References(HTMLParser):
    """Everything that a page loads, and what a strict policy would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        given = dict(attrs)
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name[:2] == "on"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        source = given.get("src") or (given.get("href") if tag == "link" else None)
        if source is not None:
            self.loaded.append(source)


async def test_the_page_and_all_that_it_loads_come_from_the_worker(client: Client) -> None:
    """No script or style stands in the page itself, and nothing is loaded from elsewhere."""
    answer = await client.get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    references = _References()
    references.feed(await answer.text())
    assert references.inline == []
    assert len(references.loaded) > 3
    pending = list(references.loaded)
    seen = set()
    while pending:
        path = pending.pop()
        assert path.startswith("/static/")
        if path in seen:
            continue
        seen.add(path)
        loaded = await client.get(path)
        assert loaded.status == 200, path
        imports = re.findall(r'from "\./([a-z]+\.js)"', await loaded.text())
        pending += [f"/static/{name}" for name in imports]
    served = {f"/static/{entry.name}" for entry in STATIC.iterdir() if entry.name.endswith(".js")}
    assert served <= seen, "a script that nothing loads"


async def test_files_are_asked_for_again_but_not_sent_again(client: Client) -> None:
    """With an ETag that fits there is a 304; with gzip it is small."""
    answer = await client.get("/static/page.css")
    headers = {"If-None-Match": answer.headers["ETag"]}
    again = await client.get("/static/page.css", headers=headers)
    assert (again.status, await again.read()) == (304, b"")
    assert answer.headers["Cache-Control"] == "no-cache"
    plain = await client.get("/static/page.css", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.text() == await answer.text()


@pytest.mark.parametrize("name", ["../page.py", "%2e%2e/page.py", "none.js", "uplot", "uplot/"])
async def test_nothing_but_the_page_s_files_is_served(client: Client, name: str) -> None:
    """A path that leads out of the folder leads nowhere."""
    from yarl import URL

    answer = await client.get(URL(f"/static/{name}", encoded=True))
    assert answer.status == 404
    assert set(await answer.json()) == {"error"}


async def test_a_worker_tells_another_what_it_has_done(client: Client) -> None:
    """By second, after one that the other knows already."""
    answer = await (await client.get("/api/local/rates?since=0")).json()
    assert answer == {"id": "wordcount", "rates": [[101, 3, 30]]}
    assert (await (await client.get("/api/local/rates?since=101")).json())["rates"] == []
    assert (await client.get("/api/local/rates?since=x")).status == 400


def test_the_chart_library_is_the_one_that_was_recorded() -> None:
    """Name, version, licence and SHA-256 of each file stand beside it."""
    folder = STATIC / "uplot"
    recorded = dict(
        reversed(line.split()) for line in (folder / "SHA256.txt").read_text().splitlines()
    )
    present = {entry.name for entry in folder.iterdir()} - {"SHA256.txt", "README.txt"}
    assert recorded.keys() == present
    for name, digest in recorded.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
