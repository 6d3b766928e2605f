"""The worker's web server: Faust's own, without Faust's pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from aiohttp.web import AppRunner
from faust.web.drivers import aiohttp as driver

from app.web.access import Access, protect
from app.web.events import Feed
from app.web.page import Page
from app.web.page_feed import PageFeed
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from faust.types import AppT

    from app.queries.queries import Queries
    from app.settings import Settings

__all__ = ["WebServer"]

LINE_BYTES = 1 << 20
"""Longest request line, in bytes: room for the longest word, percent-encoded."""

SHUTDOWN_SECONDS = 2.0
"""How long stopping waits for requests in progress."""


class WebServer(driver.Web):
    """Serves the queries, the health and the metrics of a worker as soon as the worker starts."""

    logger = logging.getLogger("faust.web")  # quieter than Faust's: its starts are no news

    # Faust's pages would show tables and more to every client; none of them is served.
    default_blueprints: ClassVar = []
    production_blueprints: ClassVar = []
    debug_blueprints: ClassVar = []
    optional_blueprints: ClassVar = []

    def __init__(self, app: AppT, settings: Settings, queries: Queries) -> None:
        super().__init__(app)
        self._settings = settings
        page_feed = PageFeed(settings, queries.counts, queries.status, queries.rates)
        self._feed = Feed(page_feed.produce, page_feed.greet)
        self.web_app.middlewares.append(errors_as_json)
        self.web_app.add_routes(Views(queries, protected=settings.token is not None).routes())
        self.web_app.add_routes(Page(self._feed).routes())
        # Its timers run while the server does; its connections close after the last request.
        self.add_dependency(queries)
        self._runner = AppRunner(
            self.web_app,
            access_log=None,
            max_line_size=LINE_BYTES,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def on_start(self) -> None:
        """Restrict the access, then serve."""
        # Not in the constructor: options of the command line may still change the addresses.
        conf, settings = self.app.conf, self._settings
        names = {conf.web_bind, conf.canonical_url.host or ""}
        protect(self.web_app, Access(settings.token, names, settings.web_cors or ()))
        await super().on_start()

    async def on_stop(self) -> None:
        """End the pages' streams, then stop serving."""
        self._feed.close()
        await super().on_stop()
