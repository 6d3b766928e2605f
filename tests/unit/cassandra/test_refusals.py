"""The error of a write that Cassandra refuses in part or as a whole."""

from __future__ import annotations

from app.cassandra.refusals import Refusals
from app.cassandra.results import WriteResult


def test_without_a_refusal_there_is_no_error() -> None:
    """A write without a refused row raises nothing."""
    assert Refusals("k.words").error(WriteResult()) is None


def test_refused_rows_are_named_by_the_first() -> None:
    """The error names the first row, counts the others, and has all of them and the result."""
    refusals, result = Refusals("k.words"), WriteResult(rows=5)
    assert refusals.refuse("tea", "word 'tea': too long") == 1
    one = refusals.error(result)
    assert str(one) == "a row for k.words can't be written: word 'tea': too long"
    assert refusals.refuse("milk", "word 'milk': too long") == 2
    error = refusals.error(result)
    assert error is not None
    assert str(error) == f"{one} (and 1 more)"
    assert (error.rows, error.result, error.only_rows) == (["tea", "milk"], result, True)


def test_the_first_reason_against_all_rows_counts() -> None:
    """Requests in flight report the same cause in other words; the error has the first ones."""
    refusals = Refusals("k.words")
    refusals.refuse("tea", "word 'tea': too long")
    refusals.refuse_all("the table is missing")
    refusals.refuse_all("unconfigured table")
    error = refusals.error(WriteResult())
    assert error is not None
    assert str(error) == "writes to k.words are refused: the table is missing"
    assert (error.rows, error.only_rows) == (["tea"], False)
