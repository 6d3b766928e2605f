"""What every source's subcommand shares: its options, its run to the end, what it says then."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from app.commands.errors import WordCountCommand
from app.commands.event_time import EventTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings import Settings
    from app.sources.base import Source
    from app.sources.delivery import Delivery, Totals
    from app.sources.progress import Complaint

__all__ = ["rate", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every source can be told."""

    topic: str | None
    unpacked: bool
    event_time: int | None
    as_json: bool
    rate: float = 0


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

rate = click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0,
    show_default="as fast as Kafka takes them",
    metavar="LINES_PER_S",
    help="Most lines a second; 0: no limit.",
)


def source(make: Callable[..., Source]) -> click.Command:
    """A subcommand out of a function that makes a source of the subcommand's own options.

    It goes by the function's name and says the function's docstring as its help.
    """

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
    return click.command(make.__name__, cls=WordCountCommand)(command)


async def _run(make: Callable[[], Source], options: Options) -> int:
    """Run a source to its end and say what came of it; the exit status."""
    from app.settings import Settings
    from app.sources.progress import complaints, say
    from app.sources.run import GivenUp, stopped_by_signals

    settings = Settings.read(os.environ)
    source = make()
    delivery = _delivery(source, settings, options)

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


def _delivery(source: Source, settings: Settings, options: Options) -> Delivery:
    """What brings the lines to Kafka: in transactions, if the source can go on where it was."""
    from app.sources.delivery import Delivery
    from app.sources.exact import ExactDelivery
    from app.sources.packing import PACKED

    topic = options.topic or settings.lines
    packed_bytes = 0 if options.unpacked else PACKED
    if not source.name:
        return Delivery(settings.broker, topic, packed_bytes=packed_bytes)
    return ExactDelivery(
        settings.broker,
        topic,
        name=source.name,
        group=f"{settings.id}-produce",
        positions=settings.positions,
        packed_bytes=packed_bytes,
    )


async def _deliver(
    source: Source,
    delivery: Delivery,
    settings: Settings,
    options: Options,
    complaint: Complaint,
) -> None:
    from app.sources.positions import TOPIC_CONFIG
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
        if source.name:
            await ensure_topic(
                settings.broker,
                settings.positions,
                partitions=1,
                replication=settings.replication,
                config=TOPIC_CONFIG,
            )
        async with delivery, reported(source, delivery, complaint):
            if source.name:
                await source.resume(delivery.resumed)
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
