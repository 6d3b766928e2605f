"""Log messages while Cassandra does not acknowledge rows: one for each reason, not each retry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app.outage import OutageNotice

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WriteOutage"]

logger = logging.getLogger(__name__)


class WriteOutage:
    """Logs the beginning, the reasons and the end of an outage of writes."""

    def __init__(self) -> None:
        self._unwritten = 0
        self._notice = OutageNotice(self._log_begin, self._log_reason, self._log_end)

    def flushed(self, unwritten: int, faults: Mapping[str, str]) -> None:
        """Note a flush that left `unwritten` rows; `faults` maps kinds to descriptions."""
        self._unwritten = unwritten
        if unwritten:
            self._notice.failed(faults)
        else:
            self._notice.succeeded()

    def _log_begin(self, reasons: str) -> None:
        logger.warning(
            "Cassandra did not acknowledge %d rows (%s); the next flush retries them",
            self._unwritten,
            reasons or "no time left",
        )

    def _log_reason(self, reasons: str) -> None:
        logger.warning("Cassandra does not acknowledge rows for another reason, too (%s)", reasons)

    def _log_end(self) -> None:
        logger.info("Cassandra has acknowledged all rows again")
