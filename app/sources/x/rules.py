"""Rules of X's filtered stream: which posts it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

__all__ = ["RULES_PATH", "Rule", "Rules", "explanation"]

RULES_PATH = "/2/tweets/search/stream/rules"


class Rule(NamedTuple):
    """A rule that the stream has."""

    id: str
    value: str
    tag: str


class Rules:
    """The rules of the stream that a session's token belongs to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def all(self) -> list[Rule]:
        """The rules that there are. Raises UnavailableError, ConfigurationError."""
        answer = await self._ask("GET")
        return [
            Rule(str(rule.get("id")), str(rule.get("value")), str(rule.get("tag") or ""))
            for rule in answer.get("data") or ()
        ]

    async def add(self, values: Sequence[str]) -> None:
        """Add those that are missing. Raises ConfigurationError for one that X does not take."""
        there = {rule.value for rule in await self.all()}
        missing = [{"value": value} for value in dict.fromkeys(values) if value not in there]
        if not missing:
            return
        answer = await self._ask("POST", {"add": missing})
        wrong = [e for e in answer.get("errors") or () if e.get("title") != "DuplicateRule"]
        if wrong:
            raise ConfigurationError(
                f"X does not take the rule {wrong[0].get('value')!r}: {explanation(answer)}"
            )

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rules by their ids. Raises ConfigurationError for one that is not there."""
        unknown = sorted({*ids} - {rule.id for rule in await self.all()})
        if unknown:
            raise ConfigurationError(f"there is no rule {unknown[0]}; see --rules")
        if ids:
            await self._ask("POST", {"delete": {"ids": list(ids)}})

    async def _ask(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import aiohttp

        try:
            async with self._session.request(
                method, RULES_PATH, json=body, timeout=aiohttp.ClientTimeout(30)
            ) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"X does not answer ({str(error) or type(error).__name__}); try again later"
            ) from None
        if not isinstance(answer, dict):
            answer = {}
        if response.status >= 400 and not (body and "add" in body and answer.get("errors")):
            refusal = f"X refuses to {'change' if body else 'tell'} the rules: {response.status}"
            raise UnavailableError(f"{refusal} {explanation(answer)}".rstrip())
        return answer


def explanation(answer: dict[str, Any]) -> str:
    """What an answer of X says is wrong, in one line."""
    errors = [error for error in answer.get("errors") or () if isinstance(error, dict)]
    for said in (*errors, answer):
        details = said.get("details") or [said.get("detail") or said.get("message") or ""]
        text = " ".join(str(details[0] if isinstance(details, list) else details).split())
        if text or said.get("title"):
            return text[:300] or str(said["title"])
    return ""
