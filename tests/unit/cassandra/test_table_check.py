"""The check of the table during a write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, Mock

import pytest

from app.cassandra.table_check import TableCheck
from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

MISSING = ConfigurationError("table k.words is missing")


def checks(*answers: Exception | None, agreed: Sequence[bool] = (True, True)) -> TableCheck:
    """A check that gets these answers about the table, one after the other."""
    session: Any = Mock(schema_agreed=AsyncMock(side_effect=agreed))
    target: Any = Mock(check=AsyncMock(side_effect=answers))
    return TableCheck(session, target)


@pytest.mark.parametrize(("answer", "reason"), [(None, None), (MISSING, str(MISSING))])
async def test_a_certain_answer_is_queried_once(
    answer: Exception | None, reason: str | None
) -> None:
    """The first call returns the reason; later calls send no query."""
    check = checks(answer)
    assert [await check.misfit(), await check.misfit()] == [reason, None]


async def test_while_nodes_disagree_the_check_is_repeated() -> None:
    """Without agreement on the schema a node's answer decides nothing."""
    check = checks(MISSING, agreed=(False, True))
    assert [await check.misfit(), await check.misfit()] == [None, str(MISSING)]


async def test_without_an_answer_the_check_is_repeated() -> None:
    """A node that does not answer decides nothing."""
    check = checks(UnavailableError("no answer"), MISSING)
    assert [await check.misfit(), await check.misfit()] == [None, str(MISSING)]
