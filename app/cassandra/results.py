"""What became of a write: counts, times, and the rows that Cassandra did not acknowledge."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.errors import ConfigurationError

__all__ = ["Observer", "Unobserved", "WriteRefusedError", "WriteResult"]


class Observer(Protocol):
    """Who is told of each request as it ends, while a write goes on."""

    def acknowledged(self, rows: int, size: int, seconds: float) -> None:
        """Cassandra has taken a batch of so many rows and bytes, in so many seconds."""

    def failed(self, kind: str, seconds: float) -> None:
        """A request has failed, after so many seconds."""

    def retried(self) -> None:
        """A request is sent again."""

    def waited(self, seconds: float) -> None:
        """A batch has to wait, for the limit of throughput or after a fault."""


class Unobserved:
    """An observer that looks away."""

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

    `rows` were acknowledged at the asked consistency, in `batches` requests of `bytes` bytes;
    `unwritten` were not: they may or may not be there, and must be written again with newer counts.
    `superseded` rows were left out since a newer one of the same word and window came along.
    `existing` rows were there already (only with WORDCOUNT_OUTPUT_IF_NOT_EXISTS). `retries` is how
    often a request was sent again. `failures` counts requests that failed by kind of fault;
    `faults` has the words of each kind's last one. `waiting_s` is the time that batches waited for
    the throughput limit and after faults, `writing_s` the time that they were under way, both
    summed over batches; `elapsed_s` is the time from start to end of the write.
    """

    rows: int = 0
    batches: int = 0
    bytes: int = 0
    superseded: int = 0
    existing: int = 0
    retries: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    waiting_s: float = 0.0
    writing_s: float = 0.0
    elapsed_s: float = 0.0
    unwritten: list[Any] = field(default_factory=list)


class WriteRefusedError(ConfigurationError):
    """Cassandra, or a column's type, refuses rows for good: trying again can't help.

    `result` says what was written all the same; its `unwritten` hold `rows`, the refused ones that
    were found, and those that were not tried any more. `only_rows` tells that nothing but these
    rows is wrong: all others can be written.
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
