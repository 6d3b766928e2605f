"""`faust -A app worker`: Faust's own worker, with checks before it and a clear end after it."""

from __future__ import annotations

import asyncio
import logging.config
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from aiokafka.errors import KafkaError
from faust.cli import worker as stock
from faust.exceptions import AlreadyConfiguredWarning

from app.application import gone_while_starting
from app.errors import WordCountError
from app.logs import config
from app.preflight import (
    check_data_directory,
    check_port,
    check_servers,
    claim_data_directory,
)
from app.web.access import check_exposure

if TYPE_CHECKING:
    from faust.worker import Worker as FaustWorker
    from mode import Worker

    from app.application import Application

__all__ = ["worker"]


class worker(stock.worker):  # noqa: N801 - the class's name is the command's
    """Start a worker: it takes its share of the partitions, counts, and saves to Cassandra."""

    redirect_stdouts = False

    def run_using_worker(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Check what the worker needs, run it until it is stopped, and exit with a status."""
        app = cast("Application", self.app)
        self._init_worker_options(*self.args, **self.kwargs)
        logging.config.dictConfig(config("INFO"))
        try:
            check_data_directory(app.conf.datadir)
            # Kept, not closed: it holds until the process ends.
            self._claim = claim_data_directory(app.conf.datadir)
            if app.conf.web_enabled:
                check_exposure(app.conf.web_bind, app.settings.token)
                check_port(app.conf.web_bind, app.conf.web_port)
            asyncio.run(check_servers(app.settings))
            super().run_using_worker(*args, **kwargs)
        except WordCountError as error:
            _stop(error)
        except SystemExit as ended:
            if app.failure is not None:
                _stop(app.failure)
            cause = ended.__context__
            if isinstance(cause, WordCountError):
                _stop(cause)
            if isinstance(cause, KafkaError):
                _stop(gone_while_starting(app.settings))
            raise

    def _init_worker_options(self, *args: Any, **options: Any) -> None:
        # Faust warns of every option that is set again, even to what it was.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AlreadyConfiguredWarning)
            super()._init_worker_options(*args, **options)

    def on_worker_created(self, worker: Worker) -> None:
        """Say what starts, in a line."""
        cast("FaustWorker", worker).spinner = None
        click.echo(_banner(cast("Application", self.app)), err=True)


def _banner(app: Application) -> str:
    settings = app.settings
    contact = ", ".join(f"{host}:{port}" for host, port in settings.cassandra)
    web = f", http://{app.conf.web_bind}:{app.conf.web_port}/" if app.conf.web_enabled else ""
    return (
        f"{settings.id}: Kafka {', '.join(settings.broker)} topic {settings.lines}"
        f" → Cassandra {contact} {settings.keyspace}.{settings.table}{web}"
    )


def _stop(error: BaseException) -> NoReturn:
    click.echo(f"Error: {error}", err=True)
    sys.exit(error.exit_status if isinstance(error, WordCountError) else 1)
