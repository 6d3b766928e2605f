"""The worker's web server: Faust's own, without its pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, cast

from aiohttp.web import AppRunner
from faust.web.drivers import aiohttp as driver
from mode import Service

from app.metrics import total
from app.queries.counts import Counts
from app.queries.end_offsets import EndOffsets
from app.queries.health import Health
from app.queries.local import LocalCounts
from app.queries.membership import Membership
from app.queries.peers import Peers
from app.queries.rates import Rates
from app.queries.stall_detector import StallDetector
from app.queries.state_metrics import StateMetrics
from app.queries.status import Status
from app.web.access import Access, protect
from app.web.events import Feed
from app.web.page import Page
from app.web.page_feed import PageFeed
from app.web.views import Views, errors_as_json

if TYPE_CHECKING:
    from app.counting.windows import Windows
    from app.metrics import Metrics
    from app.worker.application import Application

__all__ = ["WebServer"]

LINE_BYTES = 1 << 20
"""Longest request line, in bytes: the longest word, percent-encoded, and more."""

SHUTDOWN_SECONDS = 2.0
"""How long stopping waits for answers under way."""

LOOK_SECONDS = 2.0
"""How often the tasks are looked at."""

SAMPLE_SECONDS = 1.0
"""How often lines and words are taken note of."""


class WebServer(driver.Web):
    """Serves the answers, the health and the metrics of a worker, from its very start.

    `counts` and `status` answer over all workers, for the console too.
    """

    logger = logging.getLogger("faust.web")  # its starts and stops are no news

    # Faust's pages show tables and more to whoever asks; none of them is served.
    default_blueprints: ClassVar = []
    production_blueprints: ClassVar = []
    debug_blueprints: ClassVar = []
    optional_blueprints: ClassVar = []

    def __init__(self, app: Application, windows: Windows, metrics: Metrics) -> None:
        super().__init__(app)
        tracker = StallDetector(app.stages)
        contact = Membership(app.conf.broker_session_timeout, app.conf.broker_heartbeat_interval)
        self._ends = EndOffsets(app.settings.broker, contact)
        self._peers = Peers(app)
        self._health = Health(app, tracker, contact)
        self._local = LocalCounts(app, tracker, self._ends)
        self.counts = Counts(app, windows, self._local, self._peers)
        self.status = Status(app, metrics, self._health, self._local, self._peers)
        measures = StateMetrics(app, metrics, self._health, self._local)
        protected = app.settings.token is not None
        views = Views(
            self.counts, self._local, self.status, self._health, measures, protected=protected
        )
        self.web_app.middlewares.append(errors_as_json)
        self.web_app.add_routes(views.routes())
        # Windows that overlap count a word several times; people read words of text.
        overlap = (windows.window_ms or 1) / (windows.hop_ms or 1)
        self._rates = Rates(lambda: (total(metrics.lines), total(metrics.words) / overlap))
        live = PageFeed(app, self._rates, self.counts, self.status, self._peers)
        self._feed = Feed(live.produce, live.greet)
        self.web_app.add_routes(Page(app.settings, self._feed, self._rates).routes())
        self._runner = AppRunner(
            self.web_app,
            access_log=None,
            max_line_size=LINE_BYTES,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    @Service.timer(LOOK_SECONDS)
    async def _look(self) -> None:
        self._health.look(await self._local.lags())

    async def on_start(self) -> None:
        """Serve, to those who may ask."""
        # Not before: the command line may have named other addresses than the settings.
        conf, settings = self.app.conf, cast("Application", self.app).settings
        names = {conf.web_bind, conf.canonical_url.host or ""}
        protect(self.web_app, Access(settings.token, names, settings.web_cors or ()))
        await super().on_start()

    @Service.timer(SAMPLE_SECONDS)
    async def _sample(self) -> None:
        self._rates.sample()

    async def on_stop(self) -> None:
        """Stop serving; close the connections to the other workers and to the broker."""
        self._feed.close()
        await super().on_stop()
        await self._peers.close()
        await self._ends.close()
