"""The outcome of a write: its rows in the result, its single requests as events to an observer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from app.errors import ConfigurationError

__all__ = ["Observer", "Unobserved", "WriteRefusedError", "WriteResult"]


class Observer(Protocol):
    """Receives an event for each request of a write when the request ends."""

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Cassandra acknowledged a batch of `rows` and `size` bytes after `seconds`."""

    def failed(self, kind: str, seconds: float) -> None:
        """A request failed after `seconds`, with this kind of fault."""

    def retried(self) -> None:
        """A request is retried."""

    def waited(self, seconds: float) -> None:
        """A batch waits `seconds`, for the throughput limit or after a fault."""


class Unobserved:
    """An observer that ignores all events."""

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Do nothing."""

    def failed(self, kind: str, seconds: float) -> None:
        """Do nothing."""

    def retried(self) -> None:
        """Do nothing."""

    def waited(self, seconds: float) -> None:
        """Do nothing."""


@dataclass(slots=True)
class WriteResult:
    """The outcome of one `write`.

    `rows` were acknowledged at the consistency level of the settings; `unwritten` were not:
    Cassandra may or may not have them, and they must be written again with newer counts.
    `superseded` rows were skipped for a newer one of the same word and window. `existing` rows
    existed already (only with WORDCOUNT_OUTPUT_IF_NOT_EXISTS). `faults` maps each kind of fault to
    the description of its last occurrence.
    """

    rows: int = 0
    superseded: int = 0
    existing: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    unwritten: list[Any] = field(default_factory=list)


class WriteRefusedError(ConfigurationError):
    """Cassandra, or the type of a column, refuses rows permanently: a retry can't help.

    `result` states how many rows were written anyway. Its `unwritten` holds `rows`, the refused
    ones, and the rows that were not tried any more. If `only_rows`, all other rows can be written.
    """

    def __init__(
        self,
        message: str,
        result: WriteResult,
        rows: list[Any] | None = None,
        *,
        only_rows: bool = False,
    ) -> None:
        super().__init__(message)
        self.result = result
        self.rows = rows or []
        self.only_rows = only_rows
