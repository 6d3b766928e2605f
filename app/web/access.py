"""Who may ask: whoever knows the token; without one, whoever is on this machine.

A token comes as `Authorization: Bearer …`, from programs and from the other workers, or as a cookie
that `/?token=…` sets, from browsers. Where none is set the server listens on loopback only, and a
page of another site, whose name has been made to mean 127.0.0.1, is told by its name.
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

__all__ = ["COOKIE", "Access", "bearer", "check_exposure", "is_loopback", "protect"]

COOKIE = "wordcount"

OPEN = frozenset({"/", "/health/live", "/health/ready"})
"""Paths without a token: what asks them seldom can hold a secret, and they tell none.

The page is one, with its files: it tells nothing by itself, and asks for the token.
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
"""What browsers are told with every answer; an answer may say otherwise."""


def bearer(token: str | None) -> dict[str, str]:
    """The headers by which a client shows the token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(host: str, token: str | None) -> None:
    """Raise ConfigurationError if others than this machine could ask without a token."""
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            f"the web server would listen on {host}, for everybody who can reach it: set "
            "WORDCOUNT_WEB_TOKEN (or _TOKEN_FILE), or leave WORDCOUNT_WEB_HOST at 127.0.0.1"
        )


class Access:
    """Lets those in that may ask. `names` are what this server is called, besides loopback's."""

    def __init__(
        self, token: str | None, names: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        self._token = None if token is None else token.encode()
        self._names = {name.lower().strip("[]") for name in names}
        self._origins = frozenset(origins)

    @property
    def cookie(self) -> str:
        """What the cookie holds: shows that its bearer knew the token, and does not tell it."""
        return hmac.new(self._token or b"", b"cookie", hashlib.sha256).hexdigest()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, or refuse with 401 or 421; takes the token out of the page's address."""
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
        """Add the headers for browsers; a signal's handler, so that streams get them too."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # Which versions answer is for /metrics, behind the token.
        response.headers.pop("Server", None)
        if self._origins:
            response.headers.add("Vary", "Origin")
        if (origin := request.headers.get("Origin", "")) in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    def _check_host(self, request: web.Request) -> None:
        if self._token is not None:
            return  # a name that lies brings no token
        host = _name_of(request.headers.get("Host", "localhost"))  # browsers always send one
        if not (is_loopback(host) or host in self._names):
            raise web.HTTPMisdirectedRequest(
                reason=f"this server is not called {host[:100]}: ask it as 127.0.0.1"
            )

    def _is_known(self, request: web.Request) -> bool:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(shown.strip())
        return _same(request.cookies.get(COOKIE, ""), self.cookie.encode())

    def _is_token(self, shown: str) -> bool:
        return self._token is not None and _same(shown, self._token)

    def _without_token(self, request: web.Request, given: str) -> web.HTTPException:
        """The same page again, its address without the token and, if that is right, a cookie."""
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
    """Let every answer of `app` pass `access`."""
    app.middlewares.append(access.middleware)
    app.on_response_prepare.append(access.on_prepare)


def _same(shown: str, secret: bytes) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), secret)


def _name_of(host: str) -> str:
    """A Host header without its port."""
    name = host.rpartition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.strip("[").lower()
