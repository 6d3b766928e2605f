"""Queries over all workers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.queries.counts import WORD_BYTES, Counts
from app.queries.merge import BadRequestError
from tests.unit.queries.fake_worker import FakeWorker


class Fake:
    """Stands for the only worker."""

    def __init__(self, words: str) -> None:
        self.looked_up: list[str] = []
        parts = cast("Any", self)
        self.counts = Counts(FakeWorker(WORDCOUNT_WORDS=words), parts, parts, parts)

    def owner(self, _: int) -> None:
        """It owns every word."""

    async def word(self, _: int, word: str) -> dict[str, Any]:
        """No word has occurred."""
        self.looked_up.append(word)
        return {"windows": []}


@pytest.mark.parametrize(("words", "looked_up"), [("unicode", "strasse"), ("whitespace", "Straße")])
async def test_a_word_is_looked_up_as_it_is_counted(words: str, looked_up: str) -> None:
    """The word is case-folded if the words of the text are; the answer has the folded word."""
    fake = Fake(words)
    assert await fake.counts.word("Straße") == {"word": looked_up, "windows": []}
    assert fake.looked_up == [looked_up]


@pytest.mark.parametrize("word", ["", "caf\udce9", "x" * (WORD_BYTES + 1)])
async def test_a_query_without_a_valid_word_is_refused(word: str) -> None:
    """The word is empty, not UTF-8 or too long."""
    fake = Fake("unicode")
    with pytest.raises(BadRequestError, match="the word"):
        await fake.counts.word(word)
    assert fake.looked_up == []
