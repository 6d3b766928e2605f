"""Who may ask, and what browsers are told."""

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
    """`serve(token, names=…, origins=…)`: a client of a server with these."""
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
async def test_without_the_token_nothing_is_told(serve: Serve, path: str) -> None:
    """Everything but the health asks for the token, in JSON, whatever is sent instead of it."""
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


async def test_with_the_token_all_is_as_without_one(serve: Serve) -> None:
    """A program shows the token in its header; the scheme's case does not matter."""
    client = await serve(TOKEN)
    for headers in (bearer(TOKEN), {"Authorization": f"bearer  {TOKEN}"}):
        assert (await client.get("/api/top", headers=headers)).status == 200


async def test_health_needs_no_token(serve: Serve) -> None:
    """What restarts workers can't hold a secret."""
    client = await serve(TOKEN)
    assert (await client.get("/health/live")).status == 200


async def test_the_page_needs_no_token(serve: Serve) -> None:
    """It holds nothing by itself, and asks for the token in a form; so do its files."""
    client = await serve(TOKEN)
    assert (await client.get("/")).status == 200
    assert (await client.get("/static/page.js")).status == 404  # asked for, and not there


async def test_a_browser_trades_the_token_for_a_cookie(serve: Serve) -> None:
    """`/?token=…` sets a cookie that scripts can't read and leads to the page, the token gone."""
    client = await serve(TOKEN)
    response = await client.get(f"/?token={TOKEN}&window=5", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "/?window=5")
    cookie = SimpleCookie(response.headers["Set-Cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert TOKEN not in str(response.headers)
    assert (await client.get("/api/top", headers={"Cookie": f"{COOKIE}={cookie.value}"})).ok


async def test_a_wrong_token_gets_no_cookie(serve: Serve) -> None:
    """It leads to the page too, which then asks for the token."""
    client = await serve(TOKEN)
    response = await client.get("/?token=wrong", allow_redirects=False)
    assert response.status == 303
    assert "Set-Cookie" not in response.headers
    client.session.cookie_jar.clear()
    assert (await client.get("/?token=wrong")).status == 200
    assert (await client.get("/api/top")).status == 401


async def test_only_the_page_s_address_may_hold_the_token(serve: Serve) -> None:
    """Elsewhere a token in the address, which proxies log, is no token."""
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
    """A site whose name was made to mean 127.0.0.1 is told by its Host header."""
    client = await serve(names=("worker.example",))
    for path in ("/api/top", "/health/live", "/events"):
        assert (await client.get(path, headers={"Host": host})).status == status


async def test_browsers_are_told_to_be_careful(serve: Serve) -> None:
    """Every answer says so, refusals and streams too, and none says which software it is."""
    client = await serve(TOKEN)
    for path, headers in (("/api/top", {}), ("/events", bearer(TOKEN)), ("/none", bearer(TOKEN))):
        told = (await client.get(path, headers=headers)).headers
        assert told["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert told["X-Content-Type-Options"] == "nosniff"
        assert told["Referrer-Policy"] == "no-referrer"
        assert told["X-Frame-Options"] == "DENY"
        assert told["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in told
        assert "Access-Control-Allow-Origin" not in told


async def test_other_sites_may_ask_only_if_they_are_set(serve: Serve) -> None:
    """The origin that is set is named back, with the token's header allowed; no other is."""
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
    """There only this machine can ask."""
    check_exposure(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "worker-1", ""])  # noqa: S104
def test_any_other_address_needs_a_token(host: str) -> None:
    """The start stops with the remedy in one line; with a token it goes on."""
    with pytest.raises(ConfigurationError, match="WORDCOUNT_WEB_TOKEN") as raised:
        check_exposure(host, None)
    assert "\n" not in str(raised.value)
    check_exposure(host, TOKEN)


def test_the_cookie_does_not_tell_the_token() -> None:
    """Whoever finds the cookie can ask until the token changes, and can't show the token."""
    cookie = Access(TOKEN).cookie
    assert TOKEN not in cookie
    assert cookie != Access(TOKEN + "x").cookie
