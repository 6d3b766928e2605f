"""The contract of a source: open, batches of lines, acknowledge, close."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from app.errors import UnavailableError
from app.sources.descriptor import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

__all__ = ["Batch", "Headers", "Position", "Source", "SourceError"]

Headers = tuple[tuple[str, bytes], ...]
"""Names and values of the Kafka headers of a line."""


class SourceError(UnavailableError):
    """A source failed; the batches that it had yielded before are delivered all the same."""


class Position(NamedTuple):
    """A place to resume in an input that can be read again: a file, a topic, a spool."""

    key: str
    """The name of the input; the same in every run."""
    value: Mapping[str, Any] | None
    """The place behind the batch, as a JSON object; None: delete the position of this key."""


@dataclass(frozen=True, slots=True)
class Batch:
    r"""Lines that a source took in together: one or thousands, in order."""

    text: bytes
    r"""The lines with b"\n" between them and none after the last; any bytes, UTF-8 or not."""
    lines: int
    """Number of lines that end in it; 0 for a part of a line that continues in the next batch."""
    timestamp_ms: int | None = None
    """Event time of all of them, in ms since 1970; None: the time at which they were read."""
    position: object = None
    """The place to resume after this batch; `Source.acknowledge` receives it.

    A source with a `name` gives a Position. A batch without lines may have a position, too.
    """
    refused: int = 0
    """Words that were skipped because no Kafka message can hold them."""
    headers: Headers = ()
    """Kafka headers of each of the lines; lines of different headers never share a message."""
    partition_key: int | None = None
    """Lines of one partition_key go to one partition, in order; None: to the next in turn."""

    @classmethod
    def of(
        cls,
        lines: Iterable[bytes | str],
        *,
        timestamp_ms: int | None = None,
        position: object = None,
        headers: Headers = (),
    ) -> Self:
        """A batch of separate lines; one with newlines in it counts as one."""
        encoded = [line.encode() if isinstance(line, str) else line for line in lines]
        return cls(b"\n".join(encoded), len(encoded), timestamp_ms, position, 0, headers)


class Source(ABC):
    """An input of lines.

    A subclass overrides `batches`, and other methods where it needs them. All methods are called
    on one event loop, one at a time; only `acknowledge` is called while `batches` waits or yields.
    So no method may block: run blocking calls through `asyncio.to_thread`.
    """

    size: int | None = None
    """Size of the whole input in bytes; None if it is not known."""
    taken: int = 0
    """Bytes of `size` that have been read."""
    failures: int = 0
    """Errors that did not end the source, each reported on stderr; they make the status 1."""
    lingers: bool = True
    """Whether a line may wait a moment for others; False if its sender waits for an answer."""

    name: str = ""
    """The name of the input, the same in every run, if it can be read again from a Position.

    Then lines and positions are committed in one transaction, so each line is delivered once even
    if the producer is killed. The next run passes the positions to `resume`. The positions given
    so far must cover all lines up to a batch with a position.
    """

    replayable: bool = True
    """Whether lines can be read again; if not, a buffer holds them until Kafka has them."""
    volatile: bool = False
    """The former name of `not replayable`, for sources that still set it."""

    chunk: int = CHUNK
    """Bytes to read at once, if the source can choose."""
    at_hand: bool = False
    """Whether the next batch is ready without waiting; the source sets it before each yield.

    Then no task is created to wait for it, which is most of the cost of a batch of one line.
    """
    waits: bool = True
    """Whether the sender waits, and loses nothing, while the source is not read."""
    seconds_to_stop: float = 1.0
    """Longest time that a stopped source may take for its next batch."""
    batches_to_stop: float = 1000
    """Most batches that a stopped source may still yield."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def open(self) -> None:  # noqa: B027 - many sources have nothing to open
        """Connect, and check the arguments.

        Raises ConfigurationError for a wrong argument, SourceError for a missing input.
        """

    async def resume(self, positions: Mapping[str, Any]) -> None:  # noqa: B027 - see `name`
        """Resume from the values of earlier positions, by their keys.

        Called between `open` and `batches` if the source has a `name`. The mapping includes keys of
        other sources that send to the same topic.
        """

    @abstractmethod
    def batches(self) -> AsyncIterator[Batch]:
        """Yield batches until the input ends or `stopping` is set.

        Write it as an async generator. Once `stopping` is set, read nothing new, yield the lines
        that were read and cannot be read again, and return. The generator is cancelled if it then
        waits longer than `seconds_to_stop` or yields more than `batches_to_stop`. While Kafka is
        behind, the next batch is not requested. Raises SourceError.
        """

    async def acknowledge(self, position: object) -> None:  # noqa: B027 - many cannot resume
        """Note that Kafka holds every line up to the batch with this position.

        Called from time to time with the newest such position, and once more before `close`.
        """

    async def close(self) -> None:  # noqa: B027 - many sources have nothing to close
        """Release all resources; called once after `open`, even after an error."""

    def stop(self) -> None:
        """Request the end of `batches`."""
        self.stopping.set()

    @property
    def can_replay(self) -> bool:
        """Whether lines can be read again, whichever of the two attributes states it."""
        return self.replayable and not self.volatile

    async def pause(self, seconds: float) -> bool:
        """Wait for `seconds` or until `stopping` is set; return whether it is set."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True
