"""Helpers of every HTTP request to a worker: the token's header, and why a request failed."""

from __future__ import annotations

import os

__all__ = ["bearer", "reason"]


def bearer(token: str | None) -> dict[str, str]:
    """The request headers that carry `token`; none without a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def reason(error: BaseException) -> str:
    """Why no answer came, in a few words."""
    if isinstance(error, TimeoutError):
        return "timed out"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error) or type(error).__name__
