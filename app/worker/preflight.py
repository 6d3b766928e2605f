"""Checks before a worker starts, so that a wrong start ends with one clear line."""

from __future__ import annotations

import socket
import tempfile
from typing import IO, TYPE_CHECKING

from app.cassandra.connecting import connect
from app.cassandra.schema import check
from app.errors import UnavailableError
from app.file_lock import try_lock
from app.kafka.topics import ensure_topics

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import Settings

__all__ = ["check_data_directory", "check_port", "check_servers", "claim_data_directory"]


def check_data_directory(path: Path) -> None:
    """Raise UnavailableError if `path` can't be created or written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UnavailableError(
            f"data directory {path} can't be written: {error.strerror}; "
            "make it writable, or name another: faust -A app --datadir DIR worker"
        ) from None


def claim_data_directory(path: Path) -> IO[bytes]:
    """Lock a data directory for this process, until the returned file is closed.

    The kernel releases the lock when the process ends, however it ends. Raises UnavailableError if
    another worker holds the lock: two would seem to work until both have a copy of one partition.
    """
    problem = "is used by another worker"
    try:
        claim = try_lock(path / "worker.lock")
    except OSError as error:
        claim, problem = None, f"cannot be locked: {error.strerror}"
    if claim is None:
        raise UnavailableError(
            f"data directory {path} {problem}; "
            "give each worker its own: faust -A app --datadir DIR worker"
        )
    return claim


def check_port(host: str, port: int) -> None:
    """Raise UnavailableError if the web server can't listen on `host`:`port`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UnavailableError(
            f"the web server can't listen on {host}:{port}: {error.strerror}; "
            "set WORDCOUNT_WEB_HOST and WORDCOUNT_WEB_PORT to a free address"
        ) from None


async def check_servers(settings: Settings) -> None:
    """Create missing topics; check the others, and the table. Raises WordCountError."""
    await ensure_topics(settings)
    session = await connect(settings)
    try:
        await check(session, settings)
    finally:
        await session.close()
