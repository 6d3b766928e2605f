"""Log messages about an outage: one when it begins, one for each new reason, one when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["OutageNotice"]


class OutageNotice:
    """Calls back when an outage begins, has another reason, or ends; not at each failed attempt.

    `began` and `changed` receive the new reasons, joined; `ended` receives nothing.
    """

    def __init__(
        self,
        began: Callable[[str], None],
        changed: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        self._began = began
        self._changed = changed
        self._ended = ended
        self._lasts = False
        self._reported: set[str] = set()

    def failed(self, reasons: Mapping[str, str]) -> None:
        """Note a failed attempt; `reasons` maps each kind of fault to its description."""
        # Compare kinds, not descriptions: those differ from attempt to attempt (node, counts).
        new = "; ".join(text for kind, text in reasons.items() if kind not in self._reported)
        began = not self._lasts
        self._lasts, self._reported = True, self._reported | reasons.keys()
        if began:
            self._began(new)
        elif new:
            self._changed(new)

    def succeeded(self) -> None:
        """Note a successful attempt, which ends the outage."""
        lasted = self._lasts
        self._lasts, self._reported = False, set()
        if lasted:
            self._ended()
