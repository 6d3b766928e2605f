"""`faust -A app servers`: the embedded Kafka and Cassandra in the foreground."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.errors import WordCountCommand
from app.errors import ConfigurationError
from app.signals import interrupted

if TYPE_CHECKING:
    from app.embedded import EmbeddedCassandra, EmbeddedKafka, EmbeddedServer

__all__ = ["servers"]

_PORT = click.IntRange(0, 65_535)
_SECONDS_BETWEEN_CHECKS = 0.2


@click.command(cls=WordCountCommand)
@click.option("--kafka-port", type=_PORT, default=0, help="Port of Kafka; 0 or none: a free one.")
@click.option(
    "--cassandra-port", type=_PORT, default=0, help="Port of Cassandra; 0 or none: a free one."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps the data between runs; none: the data is deleted.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the WORDCOUNT_BROKER and WORDCOUNT_CASSANDRA lines; there while both serve.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when both serve.")
def servers(
    kafka_port: int,
    cassandra_port: int,
    data: Path | None,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Run a real Kafka and a real Cassandra until Ctrl-C or SIGTERM.

    Prints `ready` when both serve. The first run fetches them (about 100 MB) into your cache
    directory.
    """
    if kafka_port and kafka_port == cassandra_port:
        raise ConfigurationError(
            f"--kafka-port and --cassandra-port are both {kafka_port}; name two ports"
        )
    if env_file is not None:
        _clear(env_file)
    from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together

    kafka = EmbeddedKafka(kafka_port, data=data and data / "kafka")
    cassandra = EmbeddedCassandra(cassandra_port, data=data and data / "cassandra")
    with interrupted():
        try:
            start_together(kafka, cassandra)
            if env_file is not None:
                _write(env_file, kafka, cassandra)
            _announce(kafka, cassandra, data, as_json=as_json)
            _watch(kafka, cassandra)
        except KeyboardInterrupt:
            click.echo("Stopping", err=as_json)
        finally:
            if env_file is not None:
                env_file.unlink(missing_ok=True)
            close_together(kafka, cassandra)


def _clear(env_file: Path) -> None:
    """Remove the file of a killed run: it names servers that do not serve."""
    try:
        env_file.unlink(missing_ok=True)
    except OSError as error:
        raise _not_writable(env_file, error.strerror) from None
    if not os.access(env_file.parent, os.W_OK):
        raise _not_writable(env_file, "its directory is missing or read-only")


def _not_writable(env_file: Path, why: str | None) -> ConfigurationError:
    return ConfigurationError(
        f"--env-file {env_file}: can't be written ({why}); name a file in a directory you can write"
    )


def _announce(
    kafka: EmbeddedKafka, cassandra: EmbeddedCassandra, data: Path | None, *, as_json: bool
) -> None:
    if as_json:
        folders = [str(server.data) for server in (kafka, cassandra)]
        serving = {"kafka": kafka.address, "cassandra": cassandra.address, "data": folders}
        click.echo(json.dumps({**serving, "kept": data is not None}))
        return
    click.echo(f"Kafka      {kafka.address}")
    click.echo(f"Cassandra  {cassandra.address}")
    kept = f"{data}, kept" if data else f"{kafka.data} and {cassandra.data}, thrown away at the end"
    click.echo(f"Data       {kept}")
    click.echo("ready")


def _write(env_file: Path, kafka: EmbeddedKafka, cassandra: EmbeddedCassandra) -> None:
    """Write the file atomically: a reader sees both lines or no file."""
    text = f"WORDCOUNT_BROKER=kafka://{kafka.address}\nWORDCOUNT_CASSANDRA={cassandra.address}\n"
    part = env_file.with_name(f"{env_file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(env_file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise _not_writable(env_file, error.strerror) from None


def _watch(*running: EmbeddedServer) -> None:
    """Never return; raise UnavailableError if a server ends by itself."""
    while True:
        for server in running:
            server.check()
        time.sleep(_SECONDS_BETWEEN_CHECKS)
