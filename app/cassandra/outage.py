"""What is printed while Cassandra does not take rows: a line for each reason, not for each try."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Outage"]

logger = logging.getLogger(__name__)


class Outage:
    """Remembers what was printed of the outage that goes on, if one does."""

    def __init__(self) -> None:
        self._goes_on = False
        self._named: set[str] = set()

    def tell(self, unwritten: int, faults: Mapping[str, str]) -> None:
        """Print what is new after a flush that left `unwritten` rows; `faults`: kind → words."""
        if not unwritten:
            if self._goes_on:
                logger.info("Cassandra has taken all rows again")
            self._goes_on, self._named = False, set()
            return
        reasons = "; ".join(words for kind, words in faults.items() if kind not in self._named)
        if not self._goes_on:
            logger.warning(
                "Cassandra has not taken %d rows (%s); they go with the next flush",
                unwritten,
                reasons or "no time left",
            )
        elif reasons:
            logger.warning("Cassandra does not take rows for another reason, too (%s)", reasons)
        self._goes_on, self._named = True, self._named | faults.keys()
