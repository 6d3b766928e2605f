"""Access control, and the security headers for browsers."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.errors import ConfigurationError
from app.queries.requests import bearer
from app.web.access import COOKIE, Access, check_exposure, protect
from app.web.views import errors_as_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Client = TestClient[web.Request, web.Application]
    Serve = Callable[..., Awaitable[Client]]

TOKEN = "a-token-of-20-letters"  # noqa: S105 - a test's own
ORIGIN = "https://dashboards.example"


async def hello(_: web.Request) -> web.Response:
    return web.json_response({"hello": "there"})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write_eof()
    return response


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """`serve(token, names=…, origins=…)` starts a server with these and returns a client."""
    clients = []

    async def start(token: str | None = None, **options: tuple[str, ...]) -> Client:
        app = web.Application(middlewares=[errors_as_json])
        for path in ("/", "/api/top", "/api/local/top", "/metrics", "/health/live"):
            app.router.add_get(path, hello)
        app.router.add_get("/events", stream)
        protect(app, Access(token, **options))
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield start
    for client in clients:
        await client.close()


@pytest.mark.parametrize(
    "path", ["/static", "/api/top", "/api/local/top", "/metrics", "/events", "/no"]
)
async def test_without_the_token_every_answer_is_401(serve: Serve, path: str) -> None:
    """The refusal is JSON, whatever is sent instead of the token."""
    client = await serve(TOKEN)
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \udcff\u20ac".encode("utf-8", "replace").decode("latin-1")},
        {"Cookie": f"{COOKIE}={TOKEN}"},
        {"Cookie": f"{COOKIE}=\u00e9"},
    ):
        response = await client.get(path, headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await response.json())["error"].startswith("a token is needed")


async def test_with_the_token_requests_are_answered(serve: Serve) -> None:
    """A program sends the token in a header; the case of the scheme does not matter."""
    client = await serve(TOKEN)
    for headers in (bearer(TOKEN), {"Authorization": f"bearer  {TOKEN}"}):
        assert (await client.get("/api/top", headers=headers)).status == 200


async def test_health_needs_no_token(serve: Serve) -> None:
    """A probe that restarts workers cannot hold a secret."""
    client = await serve(TOKEN)
    assert (await client.get("/health/live")).status == 200


async def test_the_page_needs_no_token(serve: Serve) -> None:
    """The page and its files contain no counts, and the page asks for the token in a form."""
    client = await serve(TOKEN)
    assert (await client.get("/")).status == 200
    assert (await client.get("/static/page.js")).status == 404  # open, but missing here


async def test_a_browser_trades_the_token_for_a_cookie(serve: Serve) -> None:
    """`/?token=…` sets a cookie that scripts can't read, and redirects to the page without it."""
    client = await serve(TOKEN)
    response = await client.get(f"/?token={TOKEN}&window=5", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "/?window=5")
    cookie = SimpleCookie(response.headers["Set-Cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert TOKEN not in str(response.headers)
    assert (await client.get("/api/top", headers={"Cookie": f"{COOKIE}={cookie.value}"})).ok


async def test_a_wrong_token_gets_no_cookie(serve: Serve) -> None:
    """It redirects to the page too, which then asks for the token."""
    client = await serve(TOKEN)
    response = await client.get("/?token=wrong", allow_redirects=False)
    assert response.status == 303
    assert "Set-Cookie" not in response.headers
    client.session.cookie_jar.clear()
    assert (await client.get("/?token=wrong")).status == 200
    assert (await client.get("/api/top")).status == 401


async def test_only_the_page_s_address_may_hold_the_token(serve: Serve) -> None:
    """On other paths a token in the address, which proxies log, is ignored."""
    client = await serve(TOKEN)
    assert (await client.get(f"/api/top?token={TOKEN}")).status == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:6066", 200),
        ("LOCALHOST", 200),
        ("[::1]:6066", 200),
        ("127.8.8.8:1", 200),
        ("worker.example", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost.attacker.example:80", 421),
        ("", 421),
        ("10.0.0.1:6066", 421),
    ],
)
async def test_without_a_token_the_server_answers_to_its_own_names(
    serve: Serve, host: str, status: int
) -> None:
    """The Host header reveals a site whose name resolves to 127.0.0.1."""
    client = await serve(names=("worker.example",))
    for path in ("/api/top", "/health/live", "/events"):
        assert (await client.get(path, headers={"Host": host})).status == status


async def test_every_answer_has_the_security_headers(serve: Serve) -> None:
    """Refusals and streams have them too, and no answer names the software."""
    client = await serve(TOKEN)
    for path, headers in (("/api/top", {}), ("/events", bearer(TOKEN)), ("/none", bearer(TOKEN))):
        sent = (await client.get(path, headers=headers)).headers
        assert sent["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert sent["X-Content-Type-Options"] == "nosniff"
        assert sent["Referrer-Policy"] == "no-referrer"
        assert sent["X-Frame-Options"] == "DENY"
        assert sent["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in sent
        assert "Access-Control-Allow-Origin" not in sent


async def test_only_configured_sites_may_read_answers(serve: Serve) -> None:
    """Only a configured origin is returned, and only for it the token's header is allowed."""
    client = await serve(TOKEN, origins=(ORIGIN,))
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = await client.options("/api/top", headers=preflight)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization"
    answer = await client.get("/api/top", headers={"Origin": ORIGIN, **bearer(TOKEN)})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    other = {**preflight, "Origin": "https://other.example"}
    answer = await client.options("/api/top", headers=other)
    assert answer.status == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "LocalHost"])
def test_loopback_needs_no_token(host: str) -> None:
    """Only this machine has access to loopback."""
    check_exposure(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "worker-1", ""])  # noqa: S104
def test_any_other_address_needs_a_token(host: str) -> None:
    """The start fails with the remedy in one line; with a token it succeeds."""
    with pytest.raises(ConfigurationError, match="WORDCOUNT_WEB_TOKEN") as raised:
        check_exposure(host, None)
    assert "\n" not in str(raised.value)
    check_exposure(host, TOKEN)


def test_the_cookie_does_not_reveal_the_token() -> None:
    """A stolen cookie gives access until the token changes, but not the token."""
    cookie = Access(TOKEN).cookie
    assert TOKEN not in cookie
    assert cookie != Access(TOKEN + "x").cookie
