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

from app.web.page import Page
from app.web.views import errors_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Client = TestClient[web.Request, web.Application]

STATIC = resources.files("app.web") / "static"


class _Feed:
    async def stream(self, _: web.Request) -> web.StreamResponse:
        """An empty answer."""
        return web.Response()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    feed: Any = _Feed()
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(Page(feed).routes())
    async with TestClient(TestServer(app)) as made:
        yield made


class _References(HTMLParser):
    """Collects the files that a page loads, and the parts that a strict policy would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        given = dict(attrs)
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name[:2] == "on"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        source = given.get("src") or (given.get("href") if tag == "link" else None)
        if source is not None:
            self.loaded.append(source)


async def test_the_page_and_all_that_it_loads_come_from_the_worker(client: Client) -> None:
    """The page has no inline script or style, and loads nothing from another site."""
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


async def test_files_are_revalidated_but_not_sent_again(client: Client) -> None:
    """A request with a matching ETag gets a 304; gzip is used only if the client accepts it."""
    answer = await client.get("/static/page.css")
    headers = {"If-None-Match": answer.headers["ETag"]}
    again = await client.get("/static/page.css", headers=headers)
    assert (again.status, await again.read()) == (304, b"")
    assert answer.headers["Cache-Control"] == "no-cache"
    plain = await client.get("/static/page.css", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.text() == await answer.text()


@pytest.mark.parametrize("name", ["../page.py", "%2e%2e/page.py", "none.js", "uplot", "uplot/"])
async def test_only_the_page_s_files_are_served(client: Client, name: str) -> None:
    """A path out of the folder is a 404."""
    from yarl import URL

    answer = await client.get(URL(f"/static/{name}", encoded=True))
    assert answer.status == 404
    assert set(await answer.json()) == {"error"}


def test_the_chart_library_has_the_recorded_checksums() -> None:
    """SHA256.txt lists each file of the library with its SHA-256."""
    folder = STATIC / "uplot"
    entries = (line.split() for line in (folder / "SHA256.txt").read_text().splitlines())
    recorded = {name: digest for digest, name in entries}
    present = {entry.name for entry in folder.iterdir()} - {"SHA256.txt", "README.txt"}
    assert recorded.keys() == present
    for name, digest in recorded.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
