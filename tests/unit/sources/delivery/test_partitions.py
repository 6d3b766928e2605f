"""Partitions are chosen by key or in turn."""

from app.sources.delivery.packing import Message
from app.sources.delivery.partitions import FixedPartitions, PartitionChooser


def message(size: int = 1, key: int | None = None) -> Message:
    return Message(b"x" * size, 1, 0, None, partition_key=key)


def test_turns_change_after_a_stretch_of_bytes_or_of_time() -> None:
    """After the last partition comes the first."""
    now = 0.0
    chooser = PartitionChooser(FixedPartitions([0, 2]), lambda: now)
    assert [chooser.choose(message(100_000)) for _ in range(5)] == [0, 0, 2, 2, 0]
    now = 1.0
    assert chooser.choose(message()) == 2


def test_a_key_has_one_partition() -> None:
    """Keys spread over all partitions."""
    chooser = PartitionChooser(FixedPartitions([0, 1, 2]), lambda: 0.0)
    assert [chooser.choose(message(key=key)) for key in range(6)] == [0, 1, 2, 0, 1, 2]


def test_without_known_partitions_the_first_one_is_chosen() -> None:
    """The client learns the others once a broker answers."""
    chooser = PartitionChooser(FixedPartitions([]), lambda: 0.0)
    assert [chooser.choose(message()), chooser.choose(message(key=5))] == [0, 0]
