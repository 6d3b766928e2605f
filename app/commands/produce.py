"""`faust -A app produce SOURCE …`: topic producers, a subcommand each."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.errors import WordCountCommand, WordCountGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings import Settings
    from app.sources.base import Source
    from app.sources.delivery import Delivery, Totals
    from app.sources.progress import Complaint

__all__ = ["produce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every source can be told."""

    topic: str | None
    unpacked: bool
    event_time: int | None
    as_json: bool
    rate: float = 0


class EventTime(click.ParamType):
    """Milliseconds since 1970, or a date and time as ISO 8601 (UTC where it names no zone)."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Milliseconds since 1970."""
        try:
            if isinstance(value, int) or value.isdecimal():
                return int(value)
            moment = dt.datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=dt.UTC)
            milliseconds = round(moment.timestamp() * 1000)
        except ValueError:
            milliseconds = -1
        if milliseconds < 0:
            self.fail(f"{value!r} is neither ms since 1970 nor a time like 2025-03-01T12:00:00Z")
        return milliseconds


@click.group(cls=WordCountGroup)
def produce() -> None:
    """Send lines of text to Kafka, from one of these sources.

    Every line is delivered once and in order; an outage of Kafka is waited for. Ctrl-C delivers
    what was taken in and ends; a second Ctrl-C gives up and says what was not delivered.
    """


_COMMON = (
    click.option("--topic", help="Topic that the lines go to [default: WORDCOUNT_LINES]."),
    click.option(
        "--unpacked", is_flag=True, help="One line a message, even when they come fast (slow)."
    ),
    click.option(
        "--event-time",
        type=EventTime(),
        help="Time of every line, in ms since 1970 or as ISO 8601 [default: when it is read].",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the end's figures as JSON."),
)

_RATE = click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0,
    show_default="as fast as Kafka takes them",
    metavar="LINES_PER_S",
    help="Most lines a second; 0: no limit.",
)


def _source(make: Callable[..., Source]) -> click.Command:
    """A subcommand out of a function that makes a source of the subcommand's own options."""

    @functools.wraps(make)
    def command(
        *, topic: str | None, unpacked: bool, event_time: int | None, as_json: bool, **own: Any
    ) -> None:
        options = Options(
            topic=topic,
            unpacked=unpacked,
            event_time=event_time,
            as_json=as_json,
            rate=own.pop("rate", 0),
        )
        status = asyncio.run(_run(functools.partial(make, **own), options))
        if status:
            sys.exit(status)

    for option in reversed(_COMMON):
        command = option(command)
    return produce.command(make.__name__.rstrip("_"), cls=WordCountCommand)(command)


@_source
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--follow", is_flag=True, help="Wait for what is written to them, as tail -F does.")
@click.option(
    "--repeat",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Send them N times; 0: without end.",
    metavar="N",
)
@_RATE
def file(paths: tuple[Path, ...], *, follow: bool, repeat: int) -> Source:
    """Send the lines of files, one file after the other.

    Files that end in .gz, .bz2, .xz or .zst are decompressed; named pipes are read to their end.
    """
    from app.sources.file import FileSource
    from app.sources.follow import FollowSource

    if not follow:
        return FileSource(paths, repeat)
    if repeat != 1:
        raise click.UsageError("--follow has no end, so it does not go with --repeat")
    return FollowSource(paths)


@_source
def stdin() -> Source:
    """Send the lines of standard input: of a pipe, a file or a terminal (Ctrl-D ends it)."""
    from app.sources.stdin import StdinSource

    return StdinSource()


@_source
@click.option(
    "--repeat",
    type=click.IntRange(min=0),
    default=0,
    show_default="without end",
    help="Send the text N times; 0: without end.",
    metavar="N",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=200,
    show_default=True,
    metavar="LINES_PER_S",
    help="Lines a second; 0: as fast as Kafka takes them.",
)
def sample(*, repeat: int) -> Source:
    """Send the Python documentation that ships with the interpreter, again and again."""
    from app.sources.sample import SampleSource

    return SampleSource(repeat)


async def _run(make: Callable[[], Source], options: Options) -> int:
    """Run a source to its end and say what came of it; the exit status."""
    from app.settings import Settings
    from app.sources.delivery import Delivery
    from app.sources.packing import PACKED
    from app.sources.progress import complaints, say
    from app.sources.run import GivenUp, stopped_by_signals

    settings = Settings.read(os.environ)
    source = make()
    delivery = Delivery(
        settings.broker,
        options.topic or settings.lines,
        packed_bytes=0 if options.unpacked else PACKED,
    )

    def stop() -> bool:
        if delivery.connected:
            waiting = delivery.totals.waiting
            say(f"Stopping: {waiting} lines wait for Kafka; Ctrl-C again gives them up")
        return delivery.connected

    started = time.monotonic()
    given_up = False
    try:
        with complaints() as complaint, stopped_by_signals(source, stop):
            await _deliver(source, delivery, settings, options, complaint)
    except GivenUp:
        given_up = True
    finally:
        if delivery.connected or given_up:
            _summary(delivery.totals, time.monotonic() - started, as_json=options.as_json)
    totals = delivery.totals
    if totals.refused:
        say(f"Error: {totals.refused} words are longer than a message may be and were left out")
    if given_up and totals.waiting:
        say(f"Error: gave up; {totals.waiting} lines were not acknowledged")
    return 1 if totals.refused or totals.waiting else 0


async def _deliver(
    source: Source,
    delivery: Delivery,
    settings: Settings,
    options: Options,
    complaint: Complaint,
) -> None:
    from app.sources.progress import reported
    from app.sources.run import pump
    from app.sources.topic import ensure_topic

    try:
        await source.open()
        delivery.batch_bytes = await ensure_topic(
            settings.broker,
            delivery.topic,
            partitions=settings.partitions,
            replication=settings.replication,
        )
        async with delivery, reported(source, delivery, complaint):
            await pump(
                source,
                delivery,
                lines_per_second=options.rate,
                timestamp_ms=options.event_time,
            )
    finally:
        await source.close()


def _summary(totals: Totals, seconds: float, *, as_json: bool) -> None:
    lines_per_second = totals.acknowledged / seconds
    if not as_json:
        click.echo(f"{totals.acknowledged} lines acknowledged by Kafka")
        click.echo(
            f"in {seconds:.1f} s: {lines_per_second:,.0f} lines/s, "
            f"{totals.bytes / seconds / 1e6:,.1f} MB/s, {totals.messages:,} messages",
            err=True,
        )
    else:
        figures = {
            "lines": totals.acknowledged,
            "not_delivered": totals.waiting,
            "refused_words": totals.refused,
            "messages": totals.messages,
            "bytes": totals.bytes,
            "seconds": round(seconds, 3),
            "lines_per_s": round(lines_per_second, 1),
        }
        click.echo(json.dumps(figures))
