"""`faust -A app demo`, what `make run` starts: servers, schema, workers and sample text."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.errors import WordCountCommand
from app.errors import UnavailableError
from app.parsers import duration_ms
from app.settings import Settings
from app.signals import on_end_signal
from app.worker.address import own_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.embedded.process import Process

__all__ = ["demo"]

STOP_SECONDS = 40.0


@click.command(cls=WordCountCommand)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--for", "duration", help="Stop after this time, like 30s or 5m; without it, on Ctrl-C."
)
@click.option(
    "--rate", type=click.IntRange(1), default=200, show_default=True, help="Lines a second."
)
def demo(workers: int, duration: str | None, rate: int) -> None:
    """See it work: embedded servers, workers, and the Python documentation as the stream.

    Needs nothing installed and leaves nothing behind.
    """
    settings = Settings.read(os.environ)
    seconds = None if duration is None else _seconds(duration)
    from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
    from app.embedded.process import Process

    stop = threading.Event()
    kafka, cassandra = EmbeddedKafka(), EmbeddedCassandra()
    with on_end_signal(stop.set), ExitStack() as stack:
        click.echo("Starting Kafka and Cassandra", err=True)
        stack.callback(close_together, kafka, cassandra)
        start_together(kafka, cassandra)
        if stop.is_set():
            return
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wordcount-demo-")))
        environ = {
            **os.environ,
            "WORDCOUNT_BROKER": f"kafka://{kafka.address}",
            "WORDCOUNT_CASSANDRA": cassandra.address,
        }
        _run(environ, "schema", "--apply")
        children: list[Process] = []
        log = data / "producer.log"
        stack.callback(_stop_all, children)
        for number in range(workers):
            port = settings.web_port + number
            own = {**environ, "WORDCOUNT_WEB_PORT": str(port)}
            folder = str(data / f"worker-{number}")
            children.append(Process(_command("--datadir", folder, "worker"), None, own))
        produce = _command("produce", "sample", "--rate", str(rate))
        children.append(Process(produce, log, environ, Path.cwd()))
        click.echo(f"The live page: {own_url(settings)}/", err=True)
        _wait(children, log, stop, seconds)


def _seconds(duration: str) -> float:
    try:
        return duration_ms(duration) / 1000
    except ValueError as error:
        raise click.UsageError(f"--for {duration}: {error}") from None


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "faust", "-A", "app", *arguments]


def _run(environ: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        _command(*arguments), env=environ, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise UnavailableError(done.stderr.strip().removeprefix("Error: ") or arguments[0])


def _wait(children: list[Process], log: Path, stop: threading.Event, seconds: float | None) -> None:
    """Wait until the time is over or `stop` is set; the last child is the producer."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while not stop.wait(0.1):
        if deadline is not None and time.monotonic() >= deadline:
            return
        for child in children:
            if not child.running:
                ended = f"ended by itself with status {child.exit_status}"
                if child is not children[-1]:
                    raise UnavailableError(f"a worker {ended}; its error is above")
                raise UnavailableError(f"the producer {ended}: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "its log is empty"


def _stop_all(children: list[Process]) -> None:
    """Stop the producer before the workers, so that they count all produced lines."""
    for child in reversed(children):
        child.terminate(STOP_SECONDS)
