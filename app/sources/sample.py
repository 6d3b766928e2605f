"""The source of `produce sample`: the Python documentation that ships with the interpreter."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from app.sources.base import Batch, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["SampleSource", "sample_text"]

_LINES_A_BATCH = 1000


def sample_text() -> str:
    """Return the text of `pydoc_data.topics`, without a newline at its end."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n".join(text.strip("\n") for text in topics.values())


class SampleSource(Source):
    """Yields the sample text `repeat` times (0: without end)."""

    def __init__(self, repeat: int = 0) -> None:
        super().__init__()
        text = sample_text()
        lines = text.encode().split(b"\n")
        self._batches = [
            Batch.of(lines[start : start + _LINES_A_BATCH])
            for start in range(0, len(lines), _LINES_A_BATCH)
        ]
        self._repeat = repeat
        self.size = repeat * sum(len(batch.text) + 1 for batch in self._batches) or None

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the text."""
        rounds = 0
        while not self._repeat or rounds < self._repeat:
            for batch in self._batches:
                if self.stopping.is_set():
                    return
                self.taken += len(batch.text) + 1
                yield batch
            rounds += 1
