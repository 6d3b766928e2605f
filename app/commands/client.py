"""Sends the queries of the command line to a running worker."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import aiohttp
import click
from yarl import URL

from app.errors import ConfigurationError, UnavailableError
from app.queries.requests import bearer, reason
from app.worker.address import own_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings import Settings

__all__ = ["ask", "url_option"]

TIMEOUT_SECONDS = 5.0
"""How long a worker may take for one answer."""

RETRY_SECONDS = 15.0
"""How long a query is retried while the workers rebalance."""

url_option = click.option(
    "--url",
    help="Web address of any worker [default: http://WORDCOUNT_WEB_HOST:WORDCOUNT_WEB_PORT].",
)


def ask(url: str | None, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """A worker's answer, as JSON.

    Raises UnavailableError if no worker answers or if a rebalance lasts longer than RETRY_SECONDS,
    and ConfigurationError if the query is wrong.
    """
    from app.settings import Settings

    _check_utf8(query)
    settings = Settings.read(os.environ)
    return asyncio.run(_ask(_base(url, settings), path, query, settings.token))


def _check_utf8(query: Mapping[str, str]) -> None:
    # Bytes that are not UTF-8 arrive as lone surrogates; a URL would silently lose them.
    for name, value in query.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"{name} {value!r} is not UTF-8") from None


def _base(text: str | None, settings: Settings) -> URL:
    if text is None:
        return own_url(settings)
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(f"--url {text}: must be an address like http://127.0.0.1:6066")
    return url


async def _ask(base: URL, path: str, query: Mapping[str, str], token: str | None) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + RETRY_SECONDS
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers=bearer(token)) as session:
        while True:
            try:
                target = (base / path).with_query(query)
                async with session.get(target, allow_redirects=False) as response:
                    answer: Any = await response.json()
                    status = response.status
                    pause = float(response.headers.get("Retry-After", "1"))
            except (aiohttp.ClientConnectionError, TimeoutError, OSError) as error:
                raise UnavailableError(
                    f"no worker answers at {base} ({reason(error)}); start one with "
                    "`faust -A app worker`, or name another with --url"
                ) from None
            except (aiohttp.ClientError, ValueError):
                raise UnavailableError(
                    f"the server at {base} is not a worker; name a worker with --url"
                ) from None
            if status == 200 and isinstance(answer, dict):
                return answer
            error_text = answer.get("error") if isinstance(answer, dict) else None
            if status == 401:
                remedy = "set" if token is None else "not this one: correct"
                raise ConfigurationError(
                    f"the worker at {base} requires a token; {remedy} WORDCOUNT_WEB_TOKEN"
                )
            if status == 400:
                raise ConfigurationError(str(error_text))
            if status != 503 or asyncio.get_running_loop().time() + pause > deadline:
                raise UnavailableError(
                    f"the worker at {base} can't answer now: {error_text or status}"
                )
            await asyncio.sleep(pause)
