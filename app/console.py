"""Prints the top words of the newest window each interval, as Spark's print does."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from app.queries.merge import NotServingError
from app.times import iso, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.queries.counts import Counts
    from app.queries.status import WorkersStatus
    from tables.word_counts import WordCounts

__all__ = ["Console", "Printer", "Progress", "aligned", "render", "shown"]

logger = logging.getLogger(__name__)

RULE = "-" * 60
WORD_CELLS = 40
"""Width of the widest word that is shown whole, in columns of a terminal."""

_JOINERS = "\u200c\u200d"  # parts of words in many scripts, and of emoji; they control nothing


class Progress(NamedTuple):
    """The speed of all workers, and the work that is left; None if unknown."""

    lines_per_second: float | None
    lag: int | None
    rows_waiting: int


class Console:
    """Prints the top words if they have changed; only the owner of partition 0 prints."""

    def __init__(
        self,
        table: WordCounts,
        counts: Counts,
        status: WorkersStatus,
        *,
        words: int,
        write: Callable[[str], None],
    ) -> None:
        self._table = table
        self._counts = counts
        self._status = status
        self._words = words
        self._write = write
        self._printed: Any = None
        self._failed = False
        self._lines_before: tuple[float, int] | None = None

    async def print_top(self) -> None:
        """Print once; a failure is logged and never raised, since counting continues without it."""
        if not self._words or 0 not in self._table.owned:
            return
        try:
            await self._print()
        except NotServingError as error:
            logger.debug("nothing to print: %s", error)
        except Exception:
            if not self._failed:  # the next interval would repeat it
                logger.exception("the top words can't be printed; counting continues")
            self._failed = True
        else:
            self._failed = False

    async def _print(self) -> None:
        top = await self._counts.top(self._words)
        if top["window"] is None:
            return
        shown_now = top["window"]["start"], top["words"]
        if shown_now == self._printed:
            return
        progress = self._progress(await self._status.all())
        self._write(render(now_ms(), top, progress))
        self._printed = shown_now

    def _progress(self, status: Mapping[str, Any]) -> Progress:
        now, lines = time.monotonic(), sum(worker["lines"] for worker in status["workers"])
        before, self._lines_before = self._lines_before, (now, lines)
        per_second = None
        # Fewer lines than before: a worker has left, and its lines are missing.
        if before is not None and lines >= before[1]:
            per_second = (lines - before[1]) / max(now - before[0], 0.001)
        partitions = [each for worker in status["workers"] for each in worker["partitions"]]
        lags = [each["lines_lag"] for each in partitions]
        known = not status["silent"] and None not in lags
        return Progress(
            per_second,
            sum(lags) if known else None,
            sum(each["rows_waiting"] for each in partitions),
        )


def render(now: int, top: Mapping[str, Any], progress: Progress) -> str:
    """The text of one interval at `now` (ms): its time and window, words, counts and progress."""
    rows = [(shown(item["word"]), str(item["count"])) for item in top["words"]]
    time_text = _readable(iso(now // 1000 * 1000))
    header = f"Time: {time_text} UTC   window {_window(time_text[:10], top['window'])}"
    return "\n".join([RULE, header, RULE, *aligned(rows), f"({_described(progress)})", ""]) + "\n"


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of two columns, the second flush right."""
    left = max((cell_len(first) for first, _ in rows), default=0)
    right = max((len(second) for _, second in rows), default=0)
    return [f"{first}{' ' * (left - cell_len(first))}  {second:>{right}}" for first, second in rows]


def shown(word: str, cells: int = WORD_CELLS) -> str:
    r"""A word as text that is safe to write to a terminal, cut to `cells` columns.

    Control characters, terminal escapes and marks that reverse text become `\x1b` and the like.
    """
    # Combining marks take no column, so the number of characters needs a limit of its own.
    short = word[: 2 * cells]
    text = "".join(char if _is_printable(char) else _escaped(char) for char in short)
    if len(short) < len(word) or cell_len(text) > cells:
        return set_cell_size(text, min(cell_len(text), cells - 1)) + "…"
    return text


def _is_printable(char: str) -> bool:
    return char in _JOINERS or char.isprintable()


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _window(today: str, window: Mapping[str, Any]) -> str:
    if window["end"] is None:
        return "without end"
    start, end = _readable(window["start"]), _readable(window["end"])
    if start.startswith(f"{today} "):
        return f"{_minutes(start[11:])}\N{EN DASH}{_minutes(end[11:])}"
    return f"{_minutes(start)} \N{EN DASH} {_minutes(end)}"


def _readable(time_text: str) -> str:
    return time_text.removesuffix("Z").replace("T", " ")


def _minutes(time_of_day: str) -> str:
    return time_of_day.removesuffix(":00") if time_of_day.count(":") > 1 else time_of_day


def _described(progress: Progress) -> str:
    per_second = progress.lines_per_second
    speed = "" if per_second is None else f"{per_second:,.0f} lines/s, "
    lag = "lag unknown" if progress.lag is None else f"lag {progress.lag:,}"
    return f"{speed}{lag}, {progress.rows_waiting:,} rows waiting for Cassandra"


class Printer:
    """Writes texts to standard output from a thread of its own.

    The reader of a pipe may stop reading, and that must not stop counting. So a text is dropped
    while the previous one is still being written.
    """

    def __init__(self) -> None:
        self._texts: queue.Queue[str] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> None:
        """Hand `text` to the thread and return at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="printer", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._texts.put_nowait(text)

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the reader has closed the pipe
            descriptor = sys.stdout.fileno()
            encoding = sys.stdout.encoding or "utf-8"
            while True:
                rest = self._texts.get().encode(encoding, "replace")
                # Not through sys.stdout: this thread would hold its lock, and the exit would hang.
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
