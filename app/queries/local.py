"""Answers about the partitions that this worker owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aiokafka import TopicPartition

from app.counting.windows import NO_WATERMARK
from app.queries.merge import LocalAnswer, NotServingError
from app.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.kafka.stage import Stage
    from app.queries.completeness import CompletenessEvidence, SourceState
    from app.queries.end_offsets import EndOffsets
    from app.queries.stall_detector import StallDetector
    from app.worker.application import Application

__all__ = ["Lag", "LocalCounts"]

T = TypeVar("T")


class _Claim(NamedTuple):
    """What this worker may speak of: partitions of the table, in a generation of the group."""

    generation: int
    partitions: frozenset[int]


class Lag(NamedTuple):
    """Records between what is committed and the end of a partition; None where unknown."""

    topic: str
    partition: int
    records: int | None


class LocalCounts:
    """Reads this worker's part of the table; each answer says which part that is."""

    def __init__(self, app: Application, tracker: StallDetector, ends: EndOffsets) -> None:
        self._app = app
        self._tracker = tracker
        self._ends = ends
        self._url = str(app.conf.canonical_url)
        self._split = _stage_of(app, app.settings.lines)
        self._count = _stage_of(app, app.settings.partials)

    async def top(self, n: int, start: int | None, before: int) -> dict[str, Any]:
        """Top words of the window `start`, or of the newest that starts up to `before` (ms).

        Raises NotServingError while the group rebalances, as all questions here do.
        """

        def find() -> dict[str, Any]:
            windows = self._app.table.totals()
            chosen = _newest(windows, before) if start is None else start
            words = [] if chosen is None else self._app.table.top(chosen, n)
            totals = (0, 0) if chosen is None else windows.get(chosen, (0, 0))
            return {"start": chosen, "words": words, "totals": totals}

        evidence = await self._evidence()
        header, found = await self._answer(find)
        return {**header, **found, "evidence": evidence}

    async def word(self, partition: int, word: str) -> dict[str, Any]:
        """(start, count) of each window in which the word occurs, newest first."""
        if partition not in self._claim().partitions:
            raise NotServingError(f"no worker tells of partition {partition}")
        header, found = await self._answer(lambda: self._app.table.word(partition, word))
        return {**header, "windows": found}

    async def windows(self) -> dict[str, Any]:
        """(start, words, distinct words) of each window."""
        evidence = await self._evidence()
        header, totals = await self._answer(self._app.table.totals)
        windows = [(start, *of_window) for start, of_window in totals.items()]
        return {**header, "windows": windows, "evidence": evidence}

    async def lags(self) -> list[Lag]:
        """Lag of every task, in records of its source."""
        tasks = [task for stage in self._app.stages for task in list(stage.tasks.values())]
        # Whoever owns nothing asks all the same: it shows that the broker answers.
        asked = [task.source for task in tasks] or [TopicPartition(self._split.topic, 0)]
        ends = await self._ends.read(asked)
        return [
            Lag(task.source.topic, task.partition, _behind(ends, task.source, task.committed[0]))
            for task in tasks
        ]

    def _claim(self) -> _Claim:
        generation = self._count.generation
        if self._app.should_stop or self._app.failure is not None:
            raise NotServingError("the worker is stopping")
        if generation < 0 or generation != self._app.consumer_generation_id:
            raise NotServingError("a rebalance or a recovery is under way")
        if not self._ends.contact.is_member():
            raise NotServingError("the worker has lost touch with its group")
        return _Claim(generation, self._count.working() & self._app.table.owned.keys())

    async def _answer(self, compute: Callable[[], T]) -> tuple[LocalAnswer, T]:
        """Compute in a thread; it holds only if the worker owns the same before and after."""
        claim, owned = self._claim(), self._app.table.owned
        try:
            found = await in_thread(compute)
        except Exception:
            # Its databases may have been closed meanwhile: `_unchanged` says so and raises.
            self._unchanged(claim, owned)
            raise
        self._unchanged(claim, owned)
        header = LocalAnswer(
            id=self._app.settings.id,
            url=self._url,
            generation=claim.generation,
            partitions=sorted(claim.partitions),
        )
        return header, found

    def _unchanged(self, claim: _Claim, owned: Mapping[int, Any]) -> None:
        if self._claim() != claim or self._app.table.owned is not owned:
            raise NotServingError("a rebalance came in between")

    async def _evidence(self) -> CompletenessEvidence:
        # To be had before the counts that it speaks of, or they might lack what it says is in.
        lags = {(lag.topic, lag.partition): lag.records for lag in await self.lags()}
        sources: list[SourceState] = [
            {
                "partition": partition,
                "watermark": _watermark(task.committed[1]),
                "idle_seconds": self._tracker.idle_seconds(self._split, partition),
                "drained": lags.get((self._split.topic, partition)) == 0,
            }
            for partition, task in list(self._split.tasks.items())
        ]
        drained = all(
            records == 0 for (topic, _), records in lags.items() if topic == self._count.topic
        )
        marks = await in_thread(self._marks)
        return {"marks": marks, "drained": drained, "sources": sources}

    def _marks(self) -> dict[str, int] | None:
        counted = []
        for own in list(self._app.table.owned.values()):
            with own.lock:  # a change is applied step by step
                counted.append(own.watermarks)
        if not counted:
            return None
        heard = set[int]().union(*counted)
        return {str(s): min(marks.get(s, NO_WATERMARK) for marks in counted) for s in heard}


def _stage_of(app: Application, topic: str) -> Stage:
    return next(stage for stage in app.stages if stage.topic == topic)


def _newest(starts: Iterable[int], before: int) -> int | None:
    starts = list(starts)
    return max((start for start in starts if start <= before), default=max(starts, default=None))


def _behind(
    ends: Mapping[TopicPartition, int], source: TopicPartition, committed: int
) -> int | None:
    end = ends.get(source)
    return None if end is None else max(0, end - committed)


def _watermark(metadata: str) -> int:
    try:
        return int(metadata)
    except ValueError:
        return NO_WATERMARK
