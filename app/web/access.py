"""Access control: a request needs the token; without a token, only this machine has access.

Programs and other workers send the token as `Authorization: Bearer …`; browsers send a cookie that
`/?token=…` sets. Without a token the server listens on loopback only. A page of another site can
still resolve its own name to 127.0.0.1 (DNS rebinding); its requests are refused by that name.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING

from aiohttp import web

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["COOKIE", "Access", "check_exposure", "is_loopback", "protect"]

COOKIE = "wordcount"

OPEN = frozenset({"/", "/health/live", "/health/ready"})
"""Paths without a token: health probes can seldom hold a secret, and the answers contain none.

The page and its files are open too: they contain no counts, and the page asks for the token.
"""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Security headers of every answer; a handler may override them."""


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(host: str, token: str | None) -> None:
    """Raise ConfigurationError if other machines would have access without a token."""
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            f"the web server would listen on {host}, for everybody who can reach it: set "
            "WORDCOUNT_WEB_TOKEN (or _TOKEN_FILE), or leave WORDCOUNT_WEB_HOST at 127.0.0.1"
        )


class Access:
    """Admits or refuses requests. `names`: the host names of this server, besides loopback's."""

    def __init__(
        self, token: str | None, names: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        self._token = None if token is None else token.encode()
        self._names = {name.lower().strip("[]") for name in names}
        self._origins = frozenset(origins)

    @property
    def cookie(self) -> str:
        """The cookie's value: it proves knowledge of the token, and does not reveal the token."""
        return hmac.new(self._token or b"", b"cookie", hashlib.sha256).hexdigest()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, or refuse with 401 or 421; removes the token from the page's address."""
        self._check_host(request)
        if self._is_preflight(request):
            return self._preflight(request)
        given = request.query.get("token") if request.path == "/" else None
        if given is not None and request.method == "GET":
            raise self._without_token(request, given)
        opened = request.path in OPEN or request.path.startswith("/static/")
        if self._token is not None and not opened and not self._is_known(request):
            raise web.HTTPUnauthorized(
                reason="a token is needed: send Authorization: Bearer TOKEN, or open /?token=TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="wordcount"'},
            )
        return await handler(request)

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers for browsers; as a signal's handler it reaches streams too."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # It would reveal versions, which only /metrics may do, behind the token.
        response.headers.pop("Server", None)
        if self._origins:
            response.headers.add("Vary", "Origin")
        if (origin := request.headers.get("Origin", "")) in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    def _check_host(self, request: web.Request) -> None:
        if self._token is not None:
            return  # a page of another site has no token
        host = _name_of(request.headers.get("Host", "localhost"))  # browsers always send one
        if not (is_loopback(host) or host in self._names):
            raise web.HTTPMisdirectedRequest(
                reason=f"this server is not called {host[:100]}: use 127.0.0.1, or set a token"
            )

    def _is_known(self, request: web.Request) -> bool:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(shown.strip())
        return _same(request.cookies.get(COOKIE, ""), self.cookie.encode())

    def _is_token(self, shown: str) -> bool:
        return self._token is not None and _same(shown, self._token)

    def _without_token(self, request: web.Request, given: str) -> web.HTTPException:
        """A redirect to the same page without the token, with a cookie if the token is right."""
        answer = web.HTTPSeeOther(request.rel_url.without_query_params("token"))
        if self._is_token(given):
            answer.set_cookie(
                COOKIE,
                self.cookie,
                path="/",
                httponly=True,
                samesite="Strict",
                secure=request.secure,
            )
        return answer

    def _is_preflight(self, request: web.Request) -> bool:
        return (
            request.method == "OPTIONS"
            and "Access-Control-Request-Method" in request.headers
            and request.headers.get("Origin") in self._origins
        )

    def _preflight(self, request: web.Request) -> web.Response:
        headers = {
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "Authorization",
            "Access-Control-Max-Age": "600",
        }
        return web.Response(status=204, headers=headers)


def protect(app: web.Application, access: Access) -> None:
    """Apply `access` to every request and answer of `app`."""
    app.middlewares.append(access.middleware)
    app.on_response_prepare.append(access.on_prepare)


def _same(shown: str, secret: bytes) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), secret)


def _name_of(host: str) -> str:
    """A Host header without its port."""
    name = host.rpartition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.strip("[").lower()
