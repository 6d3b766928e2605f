"""Users, rights and TLS with a server that wants them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.cassandra.connecting import connect
from app.cassandra.rows import Row
from app.cassandra.schema import apply
from app.cassandra.sink import CassandraSink
from app.cassandra.writer import CassandraWriter, WriteRefusedError
from app.embedded import EmbeddedCassandra
from app.errors import ConfigurationError, UnavailableError, WordCountError
from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.cassandra.session import CassandraSession
    from tests.integration.conftest import Stream

PASSWORD = "cassandra"  # noqa: S105  # of every fresh Cassandra
WRONG_PASSWORD = "hunter2-secret"  # noqa: S105  # opens nothing
READER = "reader"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, certificates of its for node and client, and one of another authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not on this machine")
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=30
        )

    for authority in ("ca", "other-ca"):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *(
                "-subj",
                f"/CN={authority}",
                "-keyout",
                f"{authority}.key",
                "-out",
                f"{authority}.pem",
            ),
        )
    # All that RFC 5280 wants: from 3.13 on Python insists.
    (directory / "leaf.ext").write_text(
        "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    for name, authority in (("node", "ca"), ("client", "ca"), ("stranger", "other-ca")):
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-days", "2"),
            *("-CAkey", f"{authority}.key", "-CAcreateserial", "-out", f"{name}.crt"),
            *("-extfile", "leaf.ext"),
        )
    node = (directory / "node.key").read_text() + (directory / "node.crt").read_text()
    (directory / "node.pem").write_text(node)
    return directory


@pytest.fixture(scope="module")
def server(certificates: Path) -> Iterator[EmbeddedCassandra]:
    """A Cassandra that wants users and speaks TLS with those who bring a certificate."""
    options = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "client_encryption_options": {
            "enabled": True,
            "optional": False,
            "require_client_auth": True,
            "keystore": str(certificates / "node.pem"),
            "truststore": str(certificates / "ca.pem"),
            "ssl_context_factory": {
                "class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"
            },
        },
    }
    # By default a password can be changed once in five seconds.
    often = ["-Dcassandra.role_password_update_min_interval_in_ms=0"]
    with EmbeddedCassandra(settings=options, java_options=often, timeout=300.0) as server:
        # A fresh node serves before it has made its first user.
        asyncio.run(first_user(settings_of(server, certificates)))
        yield server


async def first_user(settings: Settings) -> None:
    """Return once the superuser may connect, within a minute."""
    async with asyncio.timeout(120):
        while True:
            try:
                await (await connect(settings)).close()
            except ConfigurationError as refused:
                if "refuses the user" not in str(refused):
                    raise
            else:
                return


def settings_of(server: EmbeddedCassandra, certificates: Path, **options: str | None) -> Settings:
    """Settings of the superuser with everything right, and `options` instead."""
    given = {
        "CASSANDRA": server.address,
        "CASSANDRA_USERNAME": "cassandra",
        "CASSANDRA_PASSWORD": PASSWORD,
        "CASSANDRA_CA": str(certificates / "ca.pem"),
        "CASSANDRA_CERT": str(certificates / "client.crt"),
        "CASSANDRA_KEY": str(certificates / "client.key"),
        "OUTPUT_CONSISTENCY": "ONE",
    } | options
    return Settings.read({f"WORDCOUNT_{name}": text for name, text in given.items() if text})


async def failure(settings: Settings, caplog: pytest.LogCaptureFixture) -> str:
    """The one line that `connect` fails with, which holds no secret, as the log does not."""
    with pytest.raises(WordCountError) as caught:
        await connect(settings)
    message = str(caught.value)
    assert isinstance(caught.value, ConfigurationError), message
    assert "\n" not in message
    secret = settings.password
    assert secret is None or secret not in message + caplog.text
    assert all(record.exc_info is None for record in caplog.records)
    return message


async def test_a_user_with_a_certificate_writes(
    server: EmbeddedCassandra, certificates: Path, tmp_path: Path, unique: str
) -> None:
    """With TLS, a client certificate and the password from a file."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    settings = settings_of(
        server,
        certificates,
        KEYSPACE=unique,
        CASSANDRA_PASSWORD=None,
        CASSANDRA_PASSWORD_FILE=str(secret),
    )
    async with await connect(settings) as session:
        await apply(session, settings)
        writer = await CassandraWriter.create(session, settings)
        assert not (await writer.write([Row("tea", 0, 60_000, 1, 1)])).unwritten


async def test_a_wrong_password_is_reported(
    server: EmbeddedCassandra, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The user is named, the password is not."""
    wrong = settings_of(server, certificates, CASSANDRA_PASSWORD=WRONG_PASSWORD)
    message = await failure(wrong, caplog)
    assert "refuses the user 'cassandra'" in message


async def test_no_user_is_reported(
    server: EmbeddedCassandra, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the settings that name one."""
    nobody = settings_of(server, certificates, CASSANDRA_USERNAME=None, CASSANDRA_PASSWORD=None)
    message = await failure(nobody, caplog)
    assert "requires a user; set WORDCOUNT_CASSANDRA_USERNAME" in message


async def test_a_node_of_another_authority_is_refused(
    server: EmbeddedCassandra, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its certificate does not descend from the CA of the settings."""
    other = settings_of(server, certificates, CASSANDRA_CA=str(certificates / "other-ca.pem"))
    message = await failure(other, caplog)
    assert "TLS failed" in message
    assert "CERTIFICATE_VERIFY_FAILED" in message


async def test_a_certificate_and_another_key_are_refused(
    server: EmbeddedCassandra, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything is sent."""
    mixed = settings_of(server, certificates, CASSANDRA_KEY=str(certificates / "stranger.key"))
    message = await failure(mixed, caplog)
    assert "WORDCOUNT_CASSANDRA_KEY" in message


@pytest.mark.parametrize("name", [None, "stranger"])
async def test_a_client_that_the_node_does_not_know_is_refused(
    server: EmbeddedCassandra, certificates: Path, name: str | None
) -> None:
    """Without a certificate, or with one of another authority: one line, in time."""
    files = [None, None] if name is None else [f"{certificates / name}.{x}" for x in ("crt", "key")]
    settings = settings_of(server, certificates, CASSANDRA_CERT=files[0], CASSANDRA_KEY=files[1])
    with pytest.raises(WordCountError) as caught:
        await connect(settings)
    assert "\n" not in str(caught.value)
    assert server.address in str(caught.value)


async def test_a_user_without_the_right_to_write_is_reported(
    server: EmbeddedCassandra, certificates: Path, unique: str
) -> None:
    """The table, the user and the missing right are in the line; nothing is tried twice."""
    settings = settings_of(server, certificates, KEYSPACE=unique)
    async with await connect(settings) as session:
        await apply(session, settings)
        await session.execute(
            f"CREATE ROLE IF NOT EXISTS {READER} WITH PASSWORD = '{READER}' AND LOGIN = true"
        )
    reader = settings_of(
        server,
        certificates,
        KEYSPACE=unique,
        CASSANDRA_USERNAME=READER,
        CASSANDRA_PASSWORD=READER,
    )
    async with await connect(reader) as session:
        with pytest.raises(WriteRefusedError, match=no_right(unique)) as caught:
            await write_one(session, reader)
    assert caught.value.exit_status == 2


def no_right(keyspace: str) -> str:
    return f"writes to {keyspace}.words are refused: User {READER} has no MODIFY .*{keyspace}"


async def write_one(session: CassandraSession, settings: Settings) -> None:
    writer = await CassandraWriter.create(session, settings)
    assert not (await writer.write([Row("tea", 0, 60_000, 1, 1)])).unwritten


async def test_a_right_that_is_taken_away_is_reported(
    server: EmbeddedCassandra, certificates: Path, unique: str
) -> None:
    """By a writer that wrote before; nodes remember rights for two seconds."""
    admin = settings_of(server, certificates, KEYSPACE=unique)
    user = {"CASSANDRA_USERNAME": READER, "CASSANDRA_PASSWORD": READER}
    reader = settings_of(server, certificates, KEYSPACE=unique, **user)
    async with await connect(admin) as session, asyncio.timeout(120):
        await apply(session, admin)
        await session.execute(
            f"CREATE ROLE IF NOT EXISTS {READER} WITH PASSWORD = '{READER}' AND LOGIN = true"
        )
        await session.execute(f"GRANT MODIFY ON KEYSPACE {unique} TO {READER}")
        async with await connect(reader) as own:
            await write_one(own, reader)
            writer = await CassandraWriter.create(own, reader)
            await session.execute(f"REVOKE MODIFY ON KEYSPACE {unique} FROM {READER}")
            with pytest.raises(WriteRefusedError, match=no_right(unique)):
                await write_on(writer)


async def test_a_worker_with_a_password_and_a_certificate_keeps_them_to_itself(
    server: EmbeddedCassandra,
    certificates: Path,
    tmp_path: Path,
    stream: Stream,
) -> None:
    """It counts; the password stands in no log, no answer and no metric."""
    settings = settings_of(server, certificates, KEYSPACE=stream.name)
    async with await connect(settings) as session:
        await session.execute(
            "CREATE ROLE IF NOT EXISTS counter WITH PASSWORD = 'sesame-4711' AND LOGIN = true "
            "AND SUPERUSER = true"
        )
    (tmp_path / "password").write_text("sesame-4711\n")
    stream.configure(
        cassandra=server.address,
        cassandra_username="counter",
        cassandra_password_file=tmp_path / "password",
        cassandra_ca=certificates / "ca.pem",
        cassandra_cert=certificates / "client.crt",
        cassandra_key=certificates / "client.key",
        flush_interval="200ms",
    )
    worker = await asyncio.to_thread(stream.start)
    await stream.produce([("green tea", 1_700_000_040_000)] * 100)
    async with await connect(settings) as session:
        query = f"SELECT word, count FROM {stream.name}.words"
        found: set[tuple[str, int]] = set()
        async with asyncio.timeout(120):
            while found != {("green", 100), ("tea", 100)}:
                found = {tuple(row) for row in await session.execute(query)}
    answers = [
        json.dumps(worker.get(path))
        for path in ("/", "/metrics", "/api/status", "/api/top", "/api/windows", "/health/ready")
    ]
    assert await asyncio.to_thread(worker.stop) == 0
    assert "sesame" not in worker.output + "".join(answers)


async def test_a_user_that_is_refused_while_writing_stops_with_one_line(
    server: EmbeddedCassandra, certificates: Path, unique: str
) -> None:
    """After a restart with another password the write fails; with the old one it continues."""
    admin = settings_of(server, certificates, KEYSPACE=unique)
    async with await connect(admin) as session:
        await apply(session, admin)
        await session.execute(
            f"CREATE ROLE {unique} WITH PASSWORD = 'first' AND LOGIN = true AND SUPERUSER = true"
        )
    own = settings_of(
        server,
        certificates,
        KEYSPACE=unique,
        CASSANDRA_USERNAME=unique,
        CASSANDRA_PASSWORD="first",  # noqa: S106
        OUTPUT_RETRIES="1",
    )
    rows = [Row("tea", 0, 60_000, 1, 1)]
    sink = CassandraSink(own)
    await sink.open()
    try:
        assert not (await sink.write(rows)).unwritten
        await change_password(admin, unique, "second")
        server.kill()
        assert not (await sink.write(rows, timeout_seconds=5)).rows
        await asyncio.to_thread(server.start)
        with pytest.raises(ConfigurationError, match=f"refuses the user '{unique}'") as caught:
            await write_until(sink, rows, lambda: False)
        assert "\n" not in str(caught.value)
        assert "first" not in str(caught.value)
        await change_password(admin, unique, "first")
        await write_until(sink, rows, lambda: sink.nodes.count() == (1, 0))
        assert not (await sink.write(rows)).unwritten
    finally:
        await sink.close()


async def write_on(writer: CassandraWriter) -> None:
    while True:
        assert not (await writer.write([Row("tea", 0, 60_000, 1, 1)])).unwritten


async def change_password(admin: Settings, role: str, password: str) -> None:
    """As soon as the node, which may just have started, has time for it."""
    async with asyncio.timeout(90), await patiently_connected(admin) as session:
        await session.execute(f"ALTER ROLE {role} WITH PASSWORD = '{password}'")


async def patiently_connected(settings: Settings) -> CassandraSession:
    while True:
        with contextlib.suppress(UnavailableError):
            return await connect(settings)


async def write_until(sink: CassandraSink, rows: list[Row], done: Callable[[], bool]) -> None:
    """Write again and again, as flushes do, for a minute and a half at most."""
    async with asyncio.timeout(90):
        while not done():
            await sink.write(rows, timeout_seconds=5)
            await asyncio.sleep(0.1)
