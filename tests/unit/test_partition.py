"""What a worker keeps of a partition that it owns, and when that is over."""

from __future__ import annotations

import threading

import pytest

from tables.partition import ForgottenError, Partition


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
