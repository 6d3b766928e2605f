"""How a worker's memory is divided, counted and checked."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from app.errors import ConfigurationError
from app.memory import (
    CHECKPOINT_ROW_BYTES,
    DIRTY_ROW_BYTES,
    PROCESS_BYTES,
    ByteQuota,
    MemoryBudget,
    check_memory,
    checkpoint_cost,
    dirty_cost,
    excess_bytes,
)


class Thing:
    """Something that takes memory while it lives."""


@pytest.mark.parametrize("limit", [512 << 20, 1 << 30, 16 << 30])
def test_a_budget_leaves_some_memory_over(limit: int) -> None:
    """All parts together, with the process itself, are below the limit; no part is empty."""
    budget = MemoryBudget.of(limit, 4)
    rows = budget.checkpoint_rows * CHECKPOINT_ROW_BYTES + budget.dirty_rows * DIRTY_ROW_BYTES
    taken = PROCESS_BYTES + budget.lines + budget.partials + budget.rocksdb + rows
    assert min(budget) > 0
    assert 0.9 * limit < taken < limit


def test_partitions_take_their_part_but_leave_half() -> None:
    """A worker that may own many partitions has less for each part, down to a half."""
    few, many, most = (MemoryBudget.of(1 << 30, partitions) for partitions in (4, 8, 1000))
    assert few == MemoryBudget.of(1 << 30, 1)
    assert all(a > b > c for a, b, c in zip(few, many, most, strict=True))
    assert most.lines == pytest.approx(few.lines / 2, rel=0.01)


def test_rows_of_ordinary_length_cost_one_each() -> None:
    """Words of up to 24 bytes make no difference."""
    excess = excess_bytes([b"12345678" + b"x" * size for size in range(25)])
    assert excess == 0
    assert checkpoint_cost(25, excess) == dirty_cost(25, excess) == 25


def test_rows_of_long_words_cost_the_memory_that_they_take() -> None:
    """Measured: 2.1 kB for one of 2000 bytes that waits, 14.7 kB in a checkpoint."""
    excess = excess_bytes([b"12345678" + b"x" * 2000] * 1000)
    assert 2100 < dirty_cost(1000, excess) * DIRTY_ROW_BYTES / 1000 < 2500
    assert 14_000 < checkpoint_cost(1000, excess) * CHECKPOINT_ROW_BYTES / 1000 < 15_000


def test_a_quota_counts_objects_while_they_live() -> None:
    """It is full once living objects take the limit, and not when one of them is collected."""
    quota = ByteQuota(10)
    first, second = Thing(), Thing()
    quota.count(first, 6)
    assert not quota.full
    quota.count(second, 4)
    assert quota.full
    del first
    assert not quota.full


def test_more_memory_than_there_is_is_refused() -> None:
    """A limit that the machine can't keep is a wrong setting."""
    check_memory(1 << 20)
    with pytest.raises(ConfigurationError, match=r"WORDCOUNT_MEMORY=\d+MiB: this machine lets"):
        check_memory(1 << 60)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do it themselves")
def test_free_memory_between_blocks_in_use_goes_back() -> None:
    """One small block at the end does not hold back the free memory before it."""
    code = """
import psutil
from app.memory import give_back, keep_memory_low
keep_memory_low()
blocks = [b"x" * (100_000 + n) for n in range(1000)]
end = blocks[-1]
del blocks
held = psutil.Process().memory_info().rss
give_back()
assert held - psutil.Process().memory_info().rss > 80_000_000
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_garbage_in_cycles_goes_when_memory_is_given_back() -> None:
    """Though Python itself would not look for it for long."""
    code = """
import weakref
from app.memory import collect_seldom, give_back
class Thing: pass
collect_seldom()
lost = Thing(); lost.itself = lost; gone = weakref.ref(lost); del lost
assert gone() is not None
give_back()
assert gone() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_garbage_is_still_collected_but_seldom() -> None:
    """Hundreds of thousands of objects that live are not looked at; cycles of garbage go."""
    code = """
import gc, weakref
from app.memory import YOUNG_OBJECTS, collect_seldom
class Thing: pass
collect_seldom()
looks = []
gc.callbacks.append(lambda phase, info: phase == "start" and looks.append(info["generation"]))
lost = Thing(); lost.itself = lost; gone = weakref.ref(lost); del lost
kept = [[] for _ in range(YOUNG_OBJECTS * 9 // 10)]
assert not looks and gone() is not None
kept += [[] for _ in range(YOUNG_OBJECTS // 5)]
assert looks == [0] and gone() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)
