"""Queries about the partitions that this worker owns; the other workers ask for the answers."""

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
    from app.queries.membership import Membership
    from app.queries.stall_detector import StallDetector
    from app.queries.worker_view import WorkerView

__all__ = ["Lag", "LocalCounts"]

T = TypeVar("T")


class _Claim(NamedTuple):
    """The partitions of the table that this worker may answer for, in a generation of the group."""

    generation: int
    partitions: frozenset[int]


class Lag(NamedTuple):
    """Records between the committed offset and the end of a partition; None if unknown."""

    topic: str
    partition: int
    records: int | None


class LocalCounts:
    """Reads this worker's partitions of the table; each answer lists these partitions."""

    def __init__(
        self,
        worker: WorkerView,
        membership: Membership,
        stall_detector: StallDetector,
        end_offsets: EndOffsets,
    ) -> None:
        self._id = worker.settings.id
        self._worker = worker
        self._membership = membership
        self._stall_detector = stall_detector
        self._end_offsets = end_offsets
        self._split = _stage_of(worker, worker.settings.lines)
        self._count = _stage_of(worker, worker.settings.partials)

    async def top(self, n: int, start: int | None, before: int) -> dict[str, Any]:
        """Top words of the window `start`, or of the newest that starts up to `before` (ms).

        Raises NotServingError while the group rebalances, as all queries here do.
        """

        def find() -> dict[str, Any]:
            windows = self._worker.table.totals()
            chosen = _newest(windows, before) if start is None else start
            words = [] if chosen is None else self._worker.table.top(chosen, n)
            totals = (0, 0) if chosen is None else windows.get(chosen, (0, 0))
            return {"start": chosen, "words": words, "totals": totals}

        evidence = await self._evidence()
        header, found = await self._answer(find)
        return {**header, **found, "evidence": evidence}

    async def word(self, partition: int, word: str) -> dict[str, Any]:
        """(start, count) of each window in which the word occurs, newest first."""
        if partition not in self._claim().partitions:
            raise NotServingError(f"no worker serves partition {partition}")
        header, found = await self._answer(lambda: self._worker.table.word(partition, word))
        return {**header, "windows": found}

    async def windows(self) -> dict[str, Any]:
        """(start, words, distinct words) of each window."""
        evidence = await self._evidence()
        header, totals = await self._answer(self._worker.table.totals)
        windows = [(start, *of_window) for start, of_window in totals.items()]
        return {**header, "windows": windows, "evidence": evidence}

    async def lags(self) -> list[Lag]:
        """Lag of every task, in records of its source."""
        tasks = [task for stage in self._worker.stages for task in list(stage.tasks.values())]
        # A worker without tasks sends a request too: the answer shows that the broker is there.
        sources = [task.source for task in tasks] or [TopicPartition(self._split.topic, 0)]
        ends = await self._end_offsets.read(sources)
        return [
            Lag(task.source.topic, task.partition, _behind(ends, task.source, task.committed[0]))
            for task in tasks
        ]

    def _claim(self) -> _Claim:
        generation = self._count.generation
        if self._worker.stopping or self._worker.failure is not None:
            raise NotServingError("the worker is stopping")
        if generation < 0 or generation != self._worker.generation:
            raise NotServingError("a rebalance or a recovery is under way")
        if not self._membership.is_member():
            raise NotServingError("the worker may have lost its membership in the consumer group")
        return _Claim(generation, self._count.working() & self._worker.table.owned.keys())

    async def _answer(self, compute: Callable[[], T]) -> tuple[LocalAnswer, T]:
        """Compute in a thread; the result is valid only if the owned partitions did not change."""
        claim, owned = self._claim(), self._worker.table.owned
        try:
            found = await in_thread(compute)
        except Exception:
            # A rebalance may have closed the databases meanwhile: `_unchanged` raises for that.
            self._unchanged(claim, owned)
            raise
        self._unchanged(claim, owned)
        header = LocalAnswer(
            id=self._id,
            url=self._worker.url,
            generation=claim.generation,
            partitions=sorted(claim.partitions),
        )
        return header, found

    def _unchanged(self, claim: _Claim, owned: Mapping[int, Any]) -> None:
        if self._claim() != claim or self._worker.table.owned is not owned:
            raise NotServingError("a rebalance began during the query")

    async def _evidence(self) -> CompletenessEvidence:
        # Collect the evidence before reading counts; otherwise it can claim records that the counts
        # do not contain yet.
        lags = {(lag.topic, lag.partition): lag.records for lag in await self.lags()}
        sources: list[SourceState] = [
            {
                "partition": partition,
                "watermark": _watermark(task.committed[1]),
                "idle_seconds": self._stall_detector.idle_seconds(self._split, partition),
                "drained": lags.get((self._split.topic, partition)) == 0,
            }
            for partition, task in list(self._split.tasks.items())
        ]
        drained = all(
            records == 0 for (topic, _), records in lags.items() if topic == self._count.topic
        )
        watermarks = await in_thread(self._watermarks)
        return {"marks": watermarks, "drained": drained, "sources": sources}

    def _watermarks(self) -> dict[str, int] | None:
        """By source partition, the lowest watermark of all owned partitions of the table."""
        by_partition = []
        for state in list(self._worker.table.owned.values()):
            with state.lock:  # a change is applied in several steps
                by_partition.append(state.watermarks)
        if not by_partition:
            return None
        active_sources = set[int]().union(*by_partition)
        return {
            str(source): min(watermarks.get(source, NO_WATERMARK) for watermarks in by_partition)
            for source in active_sources
        }


def _stage_of(worker: WorkerView, topic: str) -> Stage:
    return next(stage for stage in worker.stages if stage.topic == topic)


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
