"""The contract of a source holds for sources of the user's own."""

from collections.abc import AsyncIterator

from app.sources.base import Batch, Source


class Silent(Source):
    """A source without lines."""

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield nothing."""
        for batch in list[Batch]():
            yield batch


def test_a_source_states_whether_its_lines_can_be_read_again() -> None:
    """`volatile = True`, the former name, still has its meaning: on a class or on an object."""

    class Former(Silent):
        volatile = True

    class Present(Silent):
        replayable = False

    changed = Silent()
    changed.volatile = True
    assert Silent().can_replay
    assert [source.can_replay for source in (Former(), Present(), changed)] == [False] * 3


async def test_a_pause_ends_when_the_source_is_stopped() -> None:
    """`pause` returns whether the source is stopped."""
    source = Silent()
    assert not await source.pause(0.001)
    source.stop()
    assert await source.pause(60)


def test_a_batch_of_lines_counts_each_item_as_one_line() -> None:
    """An item with a newline in it is one line."""
    batch = Batch.of(["a", b"b\nc"], timestamp_ms=1, position="p")
    assert (batch.text, batch.lines) == (b"a\nb\nc", 2)
    assert (batch.timestamp_ms, batch.position) == (1, "p")
