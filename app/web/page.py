"""The live page: its files, its events, and what the workers tell each other for it.

The files are read once, at the start; nothing is built, and nothing comes from elsewhere.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from app.queries.merge import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from app.queries.rates import Rates
    from app.settings import Settings
    from app.web.events import Feed

__all__ = ["Page"]

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


class _File(NamedTuple):
    content: bytes
    packed: bytes
    type: str
    tag: str


class Page:
    """Handlers of `/`, `/static/…`, `/api/events` and `/api/local/rates`."""

    def __init__(self, settings: Settings, feed: Feed, rates: Rates) -> None:
        self._id = settings.id
        self._feed = feed
        self._rates = rates
        self._files = dict(_files(resources.files("app.web") / "static"))

    def routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/", self.index),
            web.get("/static/{name:.+}", self.static),
            web.get("/api/events", self._feed.stream, allow_head=False),
            web.get("/api/local/rates", self.local_rates),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """`/`."""
        return self._answer(request, "index.html")

    async def static(self, request: web.Request) -> web.Response:
        """A file that the page is made of."""
        return self._answer(request, request.match_info["name"])

    async def local_rates(self, request: web.Request) -> web.Response:
        """What this worker has done each second since `since` (Unix time)."""
        since = request.query.get("since", "")
        if not (since.isascii() and since.isdigit() and len(since) < 16):
            raise BadRequestError(f"since={since[:40]}: must be a whole number")
        return web.json_response({"id": self._id, "rates": self._rates.since(int(since))})

    def _answer(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {
            "ETag": file.tag,
            "Cache-Control": "no-cache",  # ask each time; a 304 costs nothing
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=headers)
        body = file.content
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        return web.Response(body=body, content_type=file.type, charset="utf-8", headers=headers)


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif kind := _TYPES.get(PurePosixPath(entry.name).suffix):
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
            yield (
                f"{prefix}{entry.name}",
                _File(content, gzip.compress(content, mtime=0), kind, tag),
            )
