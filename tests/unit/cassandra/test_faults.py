"""The faults of Cassandra that pass."""

from __future__ import annotations

import pytest
from cassandra.protocol import CDCWriteException, ErrorMessage, InvalidRequestException

from app.cassandra.faults import is_passing, kind


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ErrorMessage(0x1700, "CAS operation result is unknown", None), "CasWriteUnknown"),
        (CDCWriteException(0x1600, "no space for changes", None), "CDCWriteFailure"),
    ],
)
def test_faults_without_a_class_of_their_own_pass(error: Exception, name: str) -> None:
    """A slow Paxos round, or a node without space for changes, is a passing fault with a name."""
    assert is_passing(error)
    assert kind(error) == name


def test_an_invalid_statement_is_not_retried() -> None:
    """A statement that Cassandra refuses as invalid is not a passing fault."""
    assert not is_passing(InvalidRequestException(0x2200, "unknown column", None))
