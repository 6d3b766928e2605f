"""Rules of X's filtered stream; they select the posts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp

__all__ = ["RULES_PATH", "Rule", "Rules", "explanation"]

RULES_PATH = "/2/tweets/search/stream/rules"


class Rule(NamedTuple):
    """A rule of the stream."""

    id: str
    value: str
    tag: str


class Rules:
    """Lists, adds and deletes the rules of the stream of a session's token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def all(self) -> list[Rule]:
        """List the rules. Raises UnavailableError."""
        answer = await self._request("GET")
        return [
            Rule(str(rule.get("id")), str(rule.get("value")), str(rule.get("tag") or ""))
            for rule in answer.get("data") or ()
        ]

    async def add(self, values: Sequence[str]) -> None:
        """Add the missing rules. Raises ConfigurationError for a rule that X refuses."""
        present = {rule.value for rule in await self.all()}
        missing = [{"value": value} for value in dict.fromkeys(values) if value not in present]
        if not missing:
            return
        answer = await self._request("POST", {"add": missing})
        # Another process may have added the rule since the listing: that is no error.
        wrong = [e for e in answer.get("errors") or () if e.get("title") != "DuplicateRule"]
        if wrong:
            raise ConfigurationError(
                f"X refuses the rule {wrong[0].get('value')!r}: {explanation(answer)}"
            )

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rules by their ids. Raises ConfigurationError for an unknown one."""
        unknown = sorted({*ids} - {rule.id for rule in await self.all()})
        if unknown:
            raise ConfigurationError(f"there is no rule {unknown[0]}; see --rules")
        if ids:
            await self._request("POST", {"delete": {"ids": list(ids)}})

    async def _request(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import aiohttp

        try:
            async with self._session.request(
                method, RULES_PATH, json=body, timeout=aiohttp.ClientTimeout(30)
            ) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"X does not answer ({str(error) or type(error).__name__}); retry later"
            ) from None
        if not isinstance(answer, dict):
            answer = {}
        # An added rule that X refuses comes as a 400, too; `add` reports that one by its errors.
        if response.status >= 400 and not (body and "add" in body and answer.get("errors")):
            refusal = f"X refuses to {'change' if body else 'list'} the rules: {response.status}"
            raise UnavailableError(f"{refusal} {explanation(answer)}".rstrip())
        return answer


def explanation(answer: dict[str, Any]) -> str:
    """Extract the reason of a refusal from an answer of X, in one line."""
    errors = [error for error in answer.get("errors") or () if isinstance(error, dict)]
    for error in (*errors, answer):
        details = error.get("details") or [error.get("detail") or error.get("message") or ""]
        text = " ".join(str(details[0] if isinstance(details, list) else details).split())
        if text or error.get("title"):
            return text[:300] or str(error["title"])
    return ""
