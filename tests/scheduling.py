"""Which tester gets which tests, and when: the longest first, so that all testers end together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

__all__ = ["Scheduler", "longest_first"]

APART = (
    "tests/faults/test_faults.py",
)
"""Files whose tests take long and share nothing: each test is handed out on its own."""

LONG = APART
"""The longest first."""


class Scheduler(LoadScopeScheduling):
    """Hands out files, or single tests of the files that are `APART`, in order of collection."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file in APART else file


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The same tests, those of the longest files first."""
    rank = {file: number for number, file in enumerate(LONG)}
    return sorted(items, key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))
