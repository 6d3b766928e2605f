"""The state of an owned partition, until it is closed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.memory import dirty_cost, excess_bytes
from tables.dirty_rows import DirtyRows, InheritedDirtyRows, RowsByKey
from tables.partition import NotOwnedError, PartitionState
from tables.rows import encode_rows

ROW = encode_rows(np.array([1]), 1)[0]

keys = st.binary(min_size=1, max_size=2).map(lambda key: key * key[0])
steps = st.lists(st.one_of(st.sets(keys, max_size=5), st.tuples(st.integers(1, 9), st.booleans())))


def test_a_change_of_a_partition_that_is_no_longer_owned_is_refused() -> None:
    """Recovery may have gone past it: the store's offset and rows would go back."""
    state = PartitionState()
    state.close()
    with pytest.raises(NotOwnedError), state.changing():
        pytest.fail("must not be reached")


def test_a_partition_is_closed_only_after_the_change_under_way() -> None:
    """The next reader of the store's offset finds the final one."""
    state, applied = PartitionState(), threading.Event()
    closing = threading.Thread(target=state.close)
    with state.changing():
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        applied.set()
    closing.join(5)
    assert applied.is_set()
    assert not closing.is_alive()


@given(st.sets(keys, max_size=5), steps)
def test_dirty_rows_cost_the_memory_of_their_keys(left: set[bytes], given_steps: list[Any]) -> None:
    """This holds however rows come, change again, are taken, come back or are inherited."""
    found = sorted(left)
    scan = lambda _, after: [(key, ROW) for key in found if key > after]  # noqa: E731
    dirty = DirtyRows(1, 0, InheritedDirtyRows(scan, [0], 0))
    for step in given_steps:
        if isinstance(step, set):
            dirty.add(list(step), ((1, 1) for _ in step))
        else:
            limit, fails = step
            in_flight = dirty.take(limit)
            assert_cost(dirty, in_flight)
            dirty.acknowledge(dict(list(in_flight.items())[1:]) if fails else {})
        assert_cost(dirty, {})


def assert_cost(dirty: DirtyRows, in_flight: RowsByKey) -> None:
    """Compare the kept sums with those of all keys."""
    held = [*dirty._changed, *dirty._passing, *in_flight]
    assert len(dirty) == len(held)
    assert dirty.cost == dirty_cost(len(held), excess_bytes(held))
