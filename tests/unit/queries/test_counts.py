"""Answers over all workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.queries.counts import WORD_BYTES, Counts
from app.queries.merge import BadRequestError
from app.settings import Settings


class Fake:
    """Stands for the one worker that there is."""

    def __init__(self, words: str) -> None:
        self.asked: list[str] = []
        app: Any = SimpleNamespace(settings=Settings.read({"WORDCOUNT_WORDS": words}))
        parts: Any = self
        self.counts = Counts(app, parts, parts, parts)

    def owner(self, _: int) -> None:
        """It owns every word."""

    async def word(self, _: int, word: str) -> dict[str, Any]:
        """No word has occurred."""
        self.asked.append(word)
        return {"windows": []}


@pytest.mark.parametrize(("words", "looked_up"), [("unicode", "strasse"), ("whitespace", "Straße")])
async def test_a_word_is_looked_up_as_it_is_counted(words: str, looked_up: str) -> None:
    """Folded where the words of the text are; the answer names what was looked up."""
    fake = Fake(words)
    assert await fake.counts.word("Straße") == {"word": looked_up, "windows": []}
    assert fake.asked == [looked_up]


@pytest.mark.parametrize("word", ["", "caf\udce9", "x" * (WORD_BYTES + 1)])
async def test_what_is_no_word_is_refused(word: str) -> None:
    """Nothing, what is not UTF-8, and more than a word may have."""
    fake = Fake("unicode")
    with pytest.raises(BadRequestError, match="the word"):
        await fake.counts.word(word)
    assert fake.asked == []
