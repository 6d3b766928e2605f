"""Starts and closes several servers at once."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from app.embedded.jars import JarCache

if TYPE_CHECKING:
    from app.embedded.server import EmbeddedServer

__all__ = ["close_together", "start_together"]


def start_together(*servers: EmbeddedServer) -> None:
    """Start all servers at once and wait until each serves.

    If one can't start, or this thread is interrupted, all are closed. Raises the error of the first
    server that failed.
    """
    JarCache().paths(*{server.jars for server in servers})
    with ThreadPoolExecutor(len(servers), "start") as pool:
        futures = [pool.submit(server.start) for server in servers]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            for server in servers:
                server.call_off()
            wait(futures)
            close_together(*servers)
            raise


def close_together(*servers: EmbeddedServer) -> None:
    """Close all servers at once and wait until each is gone."""
    with ThreadPoolExecutor(len(servers), "close") as pool:
        for closed in [pool.submit(server.close) for server in servers]:
            closed.result()
