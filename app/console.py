"""What a worker prints each interval: the top words of the newest window, as Spark's print does."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from app.queries.merge import NotServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.web.server import WebServer
    from app.worker.application import Application

__all__ = ["Console", "Printer", "Rates", "aligned", "render", "shown"]

logger = logging.getLogger(__name__)

RULE = "-" * 60
WORD_CELLS = 40
"""Widest word that is shown whole, in columns of a terminal."""

_JOINERS = "\u200c\u200d"  # parts of words in many scripts, and of emoji; they control nothing


class Rates(NamedTuple):
    """What all workers have done and have still to do; None where it is unknown."""

    lines_per_second: float | None
    lag: int | None
    rows_waiting: int


class Console:
    """Prints the top words if this worker owns partition 0, and if they have changed."""

    def __init__(
        self, app: Application, web: WebServer, words: int, write: Callable[[str], None]
    ) -> None:
        self._app = app
        self._web = web
        self._words = words
        self._write = write
        self._last: Any = None
        self._failed = False
        self._lines: tuple[float, int] | None = None

    async def print_top(self) -> None:
        """Print once. No failure gets out of here: counting goes on without it."""
        if not self._words or 0 not in self._app.table.owned:
            return
        try:
            await self._print()
        except NotServingError as error:
            logger.debug("nothing to print: %s", error)
        except Exception:
            if not self._failed:  # the next interval will say the same
                logger.exception("the top words can't be printed; counting goes on")
            self._failed = True
        else:
            self._failed = False

    async def _print(self) -> None:
        top = await self._web.counts.top(self._words)
        if top["window"] is None or (seen := (top["window"]["start"], top["words"])) == self._last:
            return
        rates = self._rates(await self._web.status.all())
        self._write(render(datetime.now(UTC), top, rates))
        self._last = seen

    def _rates(self, status: Mapping[str, Any]) -> Rates:
        now, lines = time.monotonic(), sum(worker["lines"] for worker in status["workers"])
        before, self._lines = self._lines, (now, lines)
        per_second = None
        # Fewer than before: a worker has left, and its lines with it.
        if before is not None and lines >= before[1]:
            per_second = (lines - before[1]) / max(now - before[0], 0.001)
        partitions = [own for worker in status["workers"] for own in worker["partitions"]]
        lags = [own["lines_lag"] for own in partitions]
        known = not status["silent"] and None not in lags
        return Rates(
            per_second,
            sum(lags) if known else None,
            sum(own["rows_waiting"] for own in partitions),
        )


def render(now: datetime, top: Mapping[str, Any], rates: Rates) -> str:
    """The text of one interval: a rule, its time and window, a rule, words and counts."""
    rows = [(shown(item["word"]), str(item["count"])) for item in top["words"]]
    header = f"Time: {now:%Y-%m-%d %H:%M:%S} UTC   window {_window(now, top['window'])}"
    return "\n".join([RULE, header, RULE, *aligned(rows), f"({_rates(rates)})", ""]) + "\n"


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of two columns, the second flush right."""
    left = max((cell_len(first) for first, _ in rows), default=0)
    right = max((len(second) for _, second in rows), default=0)
    return [f"{first}{' ' * (left - cell_len(first))}  {second:>{right}}" for first, second in rows]


def shown(word: str, cells: int = WORD_CELLS) -> str:
    r"""A word as it may be written to a terminal: nothing in it controls one, and it is short.

    Control characters, terminal escapes and marks that turn text around become `\x1b` and the like.
    """
    # Combining marks take no column of their own, hence the limit on characters.
    short = word[: 2 * cells]
    text = "".join(char if _is_printable(char) else _escaped(char) for char in short)
    if len(short) < len(word) or cell_len(text) > cells:
        return set_cell_size(text, min(cell_len(text), cells - 1)) + "…"
    return text


def _is_printable(char: str) -> bool:
    return char in _JOINERS or char.isprintable()


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _window(now: datetime, window: Mapping[str, Any]) -> str:
    if window["end"] is None:
        return "without end"
    start, end = (window[name].removesuffix("Z").replace("T", " ") for name in ("start", "end"))
    if start.startswith(f"{now:%Y-%m-%d} "):
        return f"{_minutes(start[11:])}\N{EN DASH}{_minutes(end[11:])}"
    return f"{_minutes(start)} \N{EN DASH} {_minutes(end)}"


def _minutes(time_of_day: str) -> str:
    return time_of_day.removesuffix(":00") if time_of_day.count(":") > 1 else time_of_day


def _rates(rates: Rates) -> str:
    speed = "" if rates.lines_per_second is None else f"{rates.lines_per_second:,.0f} lines/s, "
    lag = "lag unknown" if rates.lag is None else f"lag {rates.lag:,}"
    return f"{speed}{lag}, {rates.rows_waiting:,} rows waiting for Cassandra"


class Printer:
    """Writes texts to standard output from a thread of its own.

    Whoever reads may stop reading, and that must not stop counting: a text that comes while another
    is still being written is dropped.
    """

    def __init__(self) -> None:
        self._texts: queue.Queue[str] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Write `text`, later; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._texts.put_nowait(text)

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            descriptor = sys.stdout.fileno()
            encoding = sys.stdout.encoding or "utf-8"
            while True:
                rest = self._texts.get().encode(encoding, "replace")
                # Not through sys.stdout: its lock, held here, would hang the exit of the process.
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
