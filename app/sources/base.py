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
"""Names and values that go along with a line as Kafka headers."""


class SourceError(UnavailableError):
    """A source broke off; what it had yielded until then is delivered all the same."""


class Position(NamedTuple):
    """Where to go on in something that can be read again: a file, a topic, a spool."""

    key: str
    """What is read; the same in every run."""
    value: Mapping[str, Any] | None
    """The place behind the batch, as JSON has it; None: there is nothing to go on with."""


@dataclass(frozen=True, slots=True)
class Batch:
    r"""Lines that a source took in together: one or thousands, as they came."""

    text: bytes
    r"""The lines with b"\n" between them and none after the last; any bytes, UTF-8 or not."""
    lines: int
    """How many lines end in it; 0 for a part of a line that goes on in the next batch."""
    timestamp_ms: int | None = None
    """Event time of all of them, in ms since 1970; None: the time at which they were read."""
    position: object = None
    """Where to go on after this batch; handed back to `Source.acknowledge`.

    That of a source with a `name` is a Position. A batch without lines may bring one, too.
    """
    refused: int = 0
    """Words that had to be left out, since no Kafka message can hold them."""
    headers: Headers = ()
    """Kafka headers of each of the lines; lines of different headers never share a message."""
    partition_key: int | None = None
    """Lines of one partition_key go to one partition, in order; None: to whichever comes next."""

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
    """Something that lines come from.

    A subclass overrides `batches`, and what it needs of the rest. All methods are called on one
    event loop and one at a time, but `acknowledge` while `batches` waits or yields. So nothing may
    block: what must, goes through `asyncio.to_thread`.
    """

    size: int | None = None
    """All that there is to read, in bytes, where the end is known."""
    taken: int = 0
    """How much of `size` has been read."""
    failures: int = 0
    """What went wrong without ending the source, each said on stderr; makes the status 1."""
    lingers: bool = True
    """Whether a line may wait a moment for others; False: its sender waits for the answer."""

    name: str = ""
    """What is read, the same in every run, if it can be read again from a Position.

    Then lines and positions are committed in one transaction, and each line is delivered once even
    if the producer is killed; `resume` tells the next run where to go on. All the lines up to a
    batch with a position must be covered by the positions given so far.
    """

    volatile: bool = False
    """Whether what was taken in can't be read again, and so is to be kept until Kafka has it."""

    chunk: int = CHUNK
    """Bytes to read at once, where that can be chosen."""
    at_hand: bool = False
    """Whether the next batch is there without waiting; to be set as one is yielded.

    Then no task is made to wait for it, which is most of the cost of a batch of one line.
    """
    waits: bool = True
    """Whether its sender waits, and loses nothing, while it is not read."""
    seconds_to_stop: float = 1.0
    """How long a stopped source may take for its next batch."""
    batches_to_stop: float = 1000
    """How many batches a stopped source may still yield."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def open(self) -> None:  # noqa: B027 - many sources have nothing to open
        """Connect, and check what the user asked for.

        Raises ConfigurationError for a wrong argument, SourceError for what is not there now.
        """

    async def resume(self, positions: Mapping[str, Any]) -> None:  # noqa: B027 - see `name`
        """Go on from the values of earlier positions, by their keys.

        Called between `open` and `batches`, where there is a `name`. Keys of other sources that
        send to the same topic are among them.
        """

    @abstractmethod
    def batches(self) -> AsyncIterator[Batch]:
        """Yield what was taken in, until the end or until `stopping` is set.

        Write it as an async generator. After `stopping` it takes in nothing new, yields what it
        has taken from where it can't be read again, and returns; it is cancelled when it waits for
        longer than `seconds_to_stop` then, or yields more than `batches_to_stop`. While Kafka is
        behind it is not asked for the next batch. Raises SourceError.
        """

    async def acknowledge(self, position: object) -> None:  # noqa: B027 - many can't go on where they were
        """Kafka holds every line up to the batch with this position.

        Called now and then with the newest such position, and once more before `close`.
        """

    async def close(self) -> None:  # noqa: B027 - many sources have nothing to close
        """Let go of everything; called once after `open`, whatever happened."""

    def stop(self) -> None:
        """Ask `batches` to end."""
        self.stopping.set()

    async def pause(self, seconds: float) -> bool:
        """Wait, but no longer than until `stopping`; whether it is set."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True
