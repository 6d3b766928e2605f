"""Acknowledged positions remove the batches that they cover."""

from app.sources.base import Batch, Position
from app.sources.buffer.outstanding import Outstanding
from app.sources.buffer.spool import Place


def batch(position: object) -> Batch:
    return Batch.of(["line"], position=position)


def test_an_acknowledgement_covers_all_batches_before_it() -> None:
    """It returns the place in the spool and the newest position of the source, if there are any."""
    outstanding = Outstanding(write_ahead=False)
    first, second, third = batch("a"), batch(None), batch("c")
    place = Place("segment", 10)
    yielded = [
        outstanding.add(first, first, None),
        outstanding.add(second, None, place),
        outstanding.add(third, third, None),
    ]
    assert outstanding.acknowledge(yielded[1].position) == (place, "a")
    assert outstanding.in_memory() == [third]
    assert outstanding.acknowledge(yielded[2].position) == (None, "c")
    assert not outstanding


def test_with_write_ahead_positions_are_places_in_the_spool() -> None:
    """A position without a value, which deletes a key, covers no batch."""
    outstanding = Outstanding(write_ahead=True)
    one, two = Place("1", 10), Place("2", 10)
    yielded = [outstanding.add(batch(None), None, place) for place in (one, two)]
    assert yielded[0].position == Position("spool 1", {"offset": 10})
    assert outstanding.acknowledge(Position("spool 2", None)) == (None, None)
    assert outstanding.acknowledge(yielded[0].position) == (one, None)
    assert len(outstanding) == 1
