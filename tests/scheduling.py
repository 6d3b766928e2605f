"""Distributes the tests over the testers, the longest first, so that all testers end together."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

__all__ = ["Scheduler", "longest_first"]

ROOT = Path(__file__).parents[1]

LONGEST = (
    "tests/integration/test_cassandra_outages.py",
    "tests/faults/test_faults.py",
    "tests/integration/test_sources_away.py",
    "tests/integration/test_produce_outages.py",
    "tests/integration/test_web_takeover.py",
    "tests/integration/test_cassandra_cluster.py",
    "tests/integration/test_cassandra_security.py",
    "tests/integration/test_source_kafka.py",
    "tests/integration/test_demo.py",
    "tests/browser",
    "tests/integration/test_web.py",
    "tests/integration/test_word_count.py",
    "tests/integration/test_sources_exact.py",
    "tests/integration/test_gone_records.py",
    "tests/integration/test_damaged_store.py",
    "tests/integration",
)
"""Files and folders in the order of their longest unit of work; all others come last."""


class Scheduler(LoadScopeScheduling):
    """Distributes units of work in the order of collection: a file, or a test of its own.

    Tests that share servers or a worker, by a fixture of their module, stay together; so do unit
    tests, since each takes milliseconds.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _stays_together(file) else nodeid


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The same tests in the order of `LONGEST`."""
    return sorted(items, key=lambda item: _rank(item.nodeid.partition("::")[0]))


@cache
def _stays_together(file: str) -> bool:
    return "/unit/" in file or 'scope="module"' in (ROOT / file).read_text(encoding="utf-8")


@cache
def _rank(file: str) -> int:
    matching = (rank for rank, start in enumerate(LONGEST) if file.startswith(start))
    return next(matching, len(LONGEST))
