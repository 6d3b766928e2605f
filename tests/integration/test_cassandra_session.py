"""Sessions with real servers, and with none."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
from cassandra import ProtocolVersion

from app.cassandra.connecting import connect
from app.errors import ConfigurationError, UnavailableError
from app.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from app.embedded import EmbeddedCassandra


def settings(contact: str, **options: str) -> Settings:
    given = {f"WORDCOUNT_{name}": value for name, value in options.items()}
    return Settings.read({"WORDCOUNT_CASSANDRA": contact, **given})


async def failure(kind: type[Exception], settings: Settings, timeout_seconds: float = 10.0) -> str:
    """The one line that `connect` fails with."""
    with pytest.raises(kind) as caught:
        await connect(settings, timeout_seconds=timeout_seconds)
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_a_session_speaks_version_5(cassandra: EmbeddedCassandra) -> None:
    """It asks, gets rows, and closes twice without complaint."""
    async with await connect(settings(cassandra.address)) as session:
        rows = await session.execute("SELECT cluster_name FROM system.local")
        assert rows[0].cluster_name == "embedded"
        assert session.cluster.protocol_version == ProtocolVersion.V5
    await session.close()


async def test_the_data_centre_may_be_named(cassandra: EmbeddedCassandra) -> None:
    """Nodes of that data centre are asked."""
    named = settings(cassandra.address, CASSANDRA_DATACENTER="datacenter1")
    async with await connect(named) as session:
        assert await session.execute("SELECT key FROM system.local")


async def test_an_unknown_data_centre_is_named_with_those_there_are(
    cassandra: EmbeddedCassandra,
) -> None:
    """The remedy is in the line."""
    message = await failure(
        ConfigurationError, settings(cassandra.address, CASSANDRA_DATACENTER="moon")
    )
    assert message == (
        "WORDCOUNT_CASSANDRA_DATACENTER=moon: there is no such data centre; there is datacenter1"
    )


async def test_nobody_at_the_port_is_reported_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Within a second, without a traceback in the log."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        contact = f"127.0.0.1:{unused.getsockname()[1]}"
        began = time.monotonic()
        message = await failure(UnavailableError, settings(contact))
    assert time.monotonic() - began < 1
    assert contact in message
    assert "refused" in message
    assert all(record.exc_info is None for record in caplog.records)


async def test_silence_is_given_up_in_time() -> None:
    """A port that accepts and never answers does not hang the start, nor the event loop."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        contact = f"127.0.0.1:{silent.getsockname()[1]}"
        ticking = asyncio.ensure_future(tick())
        began = time.monotonic()
        message = await failure(UnavailableError, settings(contact), timeout_seconds=2.0)
        ticking.cancel()
    assert time.monotonic() - began < 4
    assert ticks > 50
    assert "is it running" in message


async def test_an_unknown_host_is_named() -> None:
    """No address, no attempt."""
    message = await failure(UnavailableError, settings("no-such-host.invalid"))
    assert "no address is known for no-such-host.invalid" in message


async def test_tls_to_a_plain_port_is_reported(
    cassandra: EmbeddedCassandra, certificate: Path
) -> None:
    """The settings ask for TLS, the node does not serve it."""
    message = await failure(
        ConfigurationError, settings(cassandra.address, CASSANDRA_CA=str(certificate))
    )
    assert "TLS failed" in message


async def test_files_that_hold_no_certificate_are_named(
    cassandra: EmbeddedCassandra, certificate: Path, tmp_path: Path
) -> None:
    """The setting and the file are in the line."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    message = await failure(
        ConfigurationError, settings(cassandra.address, CASSANDRA_CA=str(wrong))
    )
    assert f"WORDCOUNT_CASSANDRA_CA={wrong}" in message
    message = await failure(
        ConfigurationError,
        settings(
            cassandra.address,
            CASSANDRA_CA=str(certificate),
            CASSANDRA_CERT=str(wrong),
            CASSANDRA_KEY=str(wrong),
        ),
    )
    assert f"WORDCOUNT_CASSANDRA_CERT={wrong}" in message


@pytest.fixture
def certificate() -> Path:
    """Some certificates that are no node's."""
    import ssl
    from pathlib import Path

    found = ssl.get_default_verify_paths().cafile
    if found is None:
        pytest.skip("this machine has no certificates of its own")
    return Path(found)
