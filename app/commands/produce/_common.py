"""Options, output and exit status that all subcommands of `produce` share."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.errors import WordCountCommand
from app.commands.parameters import EventTime, Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings import Settings
    from app.sources.base import Source
    from app.sources.progress import LastWarning
    from app.sources.run import BufferOptions, Run, Summary

__all__ = ["buffered", "rate", "source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """Options of the buffer for lines that cannot be read again."""

    memory: int
    spill: int
    spill_dir: Path | None
    write_ahead: bool
    reads: str
    """The source and its input, about as they were typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options that every source has."""

    topic: str | None
    unpacked: bool
    event_time: int | None
    as_json: bool
    rate: float = 0
    buffering: Buffering | None = None


_READS = "reads"
"""Attribute of a function that makes a source; see `buffered`."""

_COMMON = (
    click.option("--topic", help="Topic that the lines go to [default: WORDCOUNT_LINES]."),
    click.option(
        "--unpacked", is_flag=True, help="One line a message, even if lines come fast (slow)."
    ),
    click.option(
        "--event-time",
        type=EventTime(),
        help="Time of every line, in ms since 1970 or as ISO 8601 [default: time of reading].",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the final figures as JSON."),
)

rate = click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=0,
    show_default="as fast as Kafka takes them",
    metavar="LINES_PER_S",
    help="Maximum lines per second; 0: no limit.",
)


_BUFFER = (
    click.option(
        "--memory",
        type=Size(),
        default="64MiB",
        show_default=True,
        metavar="SIZE",
        help="Size of the buffer in memory; more lines go to disk while Kafka is away.",
    ),
    click.option(
        "--spill",
        type=Size(),
        default="1GiB",
        show_default=True,
        metavar="SIZE",
        help="Size of the buffer on disk; once it is full, reading stops. 0: no buffer.",
    ),
    click.option(
        "--spill-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Directory of the buffers on disk [default: in the user's state directory].",
    ),
    click.option(
        "--write-ahead",
        is_flag=True,
        help="Write every line to disk before it goes to Kafka: exactly once, even after kill -9.",
    ),
)


def buffered(*reads: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of a buffer to a source whose lines cannot be read again.

    `reads` names the parameters of the subcommand that identify its input. A run delivers the lines
    that an earlier run left on disk if these parameters are the same, whatever the others are.
    """

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(_BUFFER):
            command = option(command)
        vars(command)[_READS] = reads
        return command

    return with_options


def source(make: Callable[..., Source]) -> click.Command:
    """Make a subcommand of a function that makes a source from the subcommand's own options.

    The function's name is the subcommand's name, its docstring is the help.
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
            buffering=_buffering(make, own),
        )
        from app.sources.progress import client_warnings

        # Around the whole loop: asyncio.run ends the client's tasks after the run, and they log.
        with client_warnings() as warning:
            status = asyncio.run(_run(functools.partial(make, **own), options, warning))
        if status:
            sys.exit(status)

    for option in reversed(_COMMON):
        command = option(command)
    return click.command(make.__name__, cls=WordCountCommand)(command)


def _buffering(make: Callable[..., Source], own: dict[str, Any]) -> Buffering | None:
    """Move the options of `buffered` out of a subcommand's own, if it has them."""
    reads = vars(make).get(_READS)
    if reads is None:
        return None
    given = {name: own.pop(name) for name in ("memory", "spill", "spill_dir", "write_ahead")}
    words = [make.__name__, *(_typed(name, own[name]) for name in reads)]
    return Buffering(**given, reads=" ".join(filter(None, words)))


def _typed(name: str, value: object) -> str:
    """An argument or a flag as it was typed."""
    if isinstance(value, bool):
        return f"--{name}" if value else ""
    return str(value)


async def _run(make: Callable[[], Source], options: Options, warning: LastWarning) -> int:
    """Run a source to its end and print the figures; return the exit status."""
    from app.settings import Settings
    from app.sources.delivery.packing import PACKED
    from app.sources.run import Run, Target

    settings = Settings.read(os.environ)
    topic = options.topic or settings.lines
    target = Target(
        brokers=settings.broker,
        topic=topic,
        positions_topic=settings.positions,
        group=f"{settings.id}-produce",
        partitions=settings.partitions,
        replication=settings.replication,
    )
    run = Run(
        make(),
        target,
        warning=warning,
        buffer=_buffer(options.buffering, settings, topic),
        packed_bytes=0 if options.unpacked else PACKED,
        lines_per_second=options.rate,
        timestamp_ms=options.event_time,
    )
    try:
        await run.run()
    finally:
        if run.connected or run.abandoned:
            _print_summary(run.summary, as_json=options.as_json)
    return _status(run)


def _buffer(buffering: Buffering | None, settings: Settings, topic: str) -> BufferOptions | None:
    from app.sources.run import BufferOptions

    if buffering is None:
        return None
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    brokers = ";".join(sorted(settings.broker))
    return BufferOptions(
        memory_bytes=buffering.memory,
        disk_bytes=buffering.spill,
        folder=buffering.spill_dir or state / "wordcount-stream" / settings.id,
        purpose=f"{buffering.reads} to {topic} at {brokers} as {settings.id}",
        write_ahead=buffering.write_ahead,
    )


def _status(run: Run) -> int:
    """Print what was not delivered; return the exit status."""
    totals = run.summary.totals
    if totals.refused:
        _print_error(f"{totals.refused} words are longer than a message may be and were skipped")
    if run.abandoned and totals.waiting:
        _print_error(f"gave up; {totals.waiting} lines were not acknowledged")
    return 1 if totals.refused or totals.waiting or run.failures else 0


def _print_error(text: str) -> None:
    click.echo(f"Error: {text}", err=True)


def _print_summary(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.figures()))
        return
    totals, seconds = summary
    click.echo(f"{totals.acknowledged} lines acknowledged by Kafka")
    click.echo(
        f"in {seconds:.1f} s: {summary.lines_per_second:,.0f} lines/s, "
        f"{totals.bytes / seconds / 1e6:,.1f} MB/s, {totals.messages:,} messages",
        err=True,
    )
