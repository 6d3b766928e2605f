"""Collects the permanent refusals of one write: single rows, and the reason that ends the write."""

from __future__ import annotations

from typing import Any

from app.cassandra.results import WriteRefusedError, WriteResult

__all__ = ["Refusals"]


class Refusals:
    """The rows that can never be written to `table`, and the reason why no row can, if any."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rows: list[tuple[Any, str]] = []
        self._reason: str | None = None

    def refuse(self, row: Any, reason: str) -> int:
        """Note a row that can never be written; return the number of such rows."""
        self._rows.append((row, reason))
        return len(self._rows)

    def refuse_all(self, reason: str) -> None:
        """Note the reason why no row can be written; the first reason counts."""
        self._reason = self._reason or reason

    def error(self, result: WriteResult) -> WriteRefusedError | None:
        """The error of a write with this result; None if nothing was refused."""
        if self._reason is not None:
            message = f"writes to {self._table} are refused: {self._reason}"
        elif self._rows:
            more = len(self._rows) - 1
            others = f" (and {more} more)" if more else ""
            message = f"a row for {self._table} can't be written: {self._rows[0][1]}{others}"
        else:
            return None
        rows = [row for row, _ in self._rows]
        return WriteRefusedError(message, result, rows, only_rows=self._reason is None)
