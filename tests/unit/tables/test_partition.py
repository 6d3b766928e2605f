"""What a worker keeps of a partition that it owns, and when that is over."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.memory import longer_bytes, unflushed_weight
from tables.partition import ForgottenError, Partition
from tables.rows import encode_rows
from tables.unflushed import Counts, InheritedDirtyRows

ROW = encode_rows(np.array([1]), 1)[0]

keys = st.binary(min_size=1, max_size=2).map(lambda key: key * key[0])
steps = st.lists(st.one_of(st.sets(keys, max_size=5), st.tuples(st.integers(1, 9), st.booleans())))


def test_a_change_of_a_partition_that_is_owned_no_more_is_refused() -> None:
    """Recovery may have gone past it: the store's offset and rows would go back."""
    own = Partition()
    own.close()
    with pytest.raises(ForgottenError), own.changing():
        pytest.fail("must not be reached")


def test_a_partition_is_given_up_only_after_the_change_under_way() -> None:
    """What reads the store's offset next finds the one that stays."""
    own, applied = Partition(), threading.Event()
    closing = threading.Thread(target=own.close)
    with own.changing():
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        applied.set()
    closing.join(5)
    assert applied.is_set()
    assert not closing.is_alive()


@given(st.sets(keys, max_size=5), steps)
def test_what_waits_weighs_what_its_keys_do(left: set[bytes], given_steps: list[Any]) -> None:
    """However rows come, change again, are taken, come back or are left by the owner before."""
    own = Partition(version=1)
    found = sorted(left)
    own.begin_with(
        InheritedDirtyRows(lambda _, after: [(key, ROW) for key in found if key > after], [0], 0)
    )
    for step in given_steps:
        if isinstance(step, set):
            own.add_unflushed(list(step), ((1, 1) for _ in step))
        else:
            rows, fails = step
            on_the_way = own.take_unflushed(rows)
            assert_weight(own, on_the_way)
            own.settle(dict(list(on_the_way.items())[1:]) if fails else {})
        assert_weight(own, {})


def assert_weight(own: Partition, on_the_way: Counts) -> None:
    waiting = [*own.unflushed, *own._passing, *on_the_way]
    assert own.waiting == len(waiting)
    assert own.weight == unflushed_weight(len(waiting), longer_bytes(waiting))
