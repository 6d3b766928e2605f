"""The live page: serves its files and its stream of events.

The files are read once, at the start. There is no build step, and no file comes from another site.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

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
    """Handlers of `/`, `/static/…` and `/api/events`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._files = dict(_files(resources.files("app.web") / "static"))

    def routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/", self.index),
            web.get("/static/{name:.+}", self.static),
            web.get("/api/events", self._feed.stream, allow_head=False),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """`/`."""
        return self._answer(request, "index.html")

    async def static(self, request: web.Request) -> web.Response:
        """One of the page's other files."""
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {
            "ETag": file.tag,
            "Cache-Control": "no-cache",  # revalidate each time; a 304 is cheap
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
