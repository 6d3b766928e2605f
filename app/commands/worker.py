"""`faust -A app worker`: Faust's own worker, with checks before it and a clear end after it."""

from __future__ import annotations

import asyncio
import logging.config
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from aiokafka.errors import KafkaError
from click.core import ParameterSource
from faust.cli import worker as stock
from faust.exceptions import AlreadyConfiguredWarning

from app.errors import WordCountError, end_with
from app.logs import config
from app.memory import check_memory, collect_seldom, keep_memory_low
from app.web.access import check_exposure
from app.worker.lifecycle import gone_while_starting
from app.worker.preflight import (
    check_data_directory,
    check_port,
    check_servers,
    claim_data_directory,
)

if TYPE_CHECKING:
    from faust.worker import Worker as FaustWorker
    from mode import Worker

    from app.worker.application import Application

__all__ = ["worker"]

logger = logging.getLogger(__name__)


class worker(stock.worker):  # noqa: N801 - the class's name is the command's
    """Start a worker: it takes its share of the partitions, counts, and saves to Cassandra."""

    redirect_stdouts = False

    def run_using_worker(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Check what the worker needs, run it until it is stopped, and exit with a status."""
        app = cast("Application", self.app)
        self._init_worker_options(*self.args, **self.kwargs)
        logging.config.dictConfig(dict(app.conf.logging_config))
        try:
            check_memory(app.settings.memory)
            keep_memory_low()
            collect_seldom()
            check_data_directory(app.conf.datadir)
            # Keep the claim open: it holds until the process ends.
            self._claim = claim_data_directory(app.conf.datadir)
            if app.conf.web_enabled:
                check_exposure(app.conf.web_bind, app.settings.token)
                check_port(app.conf.web_bind, app.conf.web_port)
            asyncio.run(check_servers(app.settings))
            # Hide "never awaited": Faust leaves a sleep pending when its loop stops.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            super().run_using_worker(*args, **kwargs)
        except WordCountError as error:
            self._stop(error)
        except SystemExit as ended:
            if app.failure is not None:
                self._stop(app.failure)
            cause = ended.__context__
            if isinstance(cause, WordCountError):
                self._stop(cause)
            if isinstance(cause, KafkaError):
                self._stop(gone_while_starting(app.settings))
            raise

    def _stop(self, error: BaseException) -> NoReturn:
        end_with(error, as_json=cast("Application", self.app).settings.log_format == "json")

    def _init_worker_options(self, *args: Any, **options: Any) -> None:
        # Faust warns about every option that is set again, even to the same value.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AlreadyConfiguredWarning)
            super()._init_worker_options(*args, **options)
            app = cast("Application", self.app)
            app.conf.logging_config = config(self._level(), app.settings.log_format)

    def _level(self) -> str:
        """The level of the option; INFO by default, since Faust's own default hides INFO lines."""
        root = click.get_current_context().find_root()
        given = root.get_parameter_source("loglevel") is not ParameterSource.DEFAULT
        return self.loglevel.upper() if given else "INFO"

    def on_worker_created(self, worker: Worker) -> None:
        """Log one line about the worker that starts."""
        cast("FaustWorker", worker).spinner = None
        logger.info("%s", _banner(cast("Application", self.app)))


def _banner(app: Application) -> str:
    settings = app.settings
    contact = ", ".join(f"{host}:{port}" for host, port in settings.cassandra)
    token = " (asks for the token)" if settings.token is not None else ""
    web = f"; {str(app.conf.canonical_url).rstrip('/')}/{token}" if app.conf.web_enabled else ""
    return (
        f"wordcount-stream {version('wordcount-stream')}, {settings.id}:"
        f" Kafka {', '.join(settings.broker)} topic {settings.lines}"
        f" → Cassandra {contact} {settings.keyspace}.{settings.table}{web}"
    )
