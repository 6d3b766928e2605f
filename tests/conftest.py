"""Fixtures of every test tier: real servers, one of each a session, and unique names."""

from __future__ import annotations

import os
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import psutil
import pytest

from app.embedded import ports
from tests.scheduling import Scheduler, longest_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.embedded import EmbeddedCassandra, EmbeddedKafka

# A wall-clock deadline fails on a busy machine even when the code is right.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


if "PYTEST_XDIST_WORKER" in os.environ:
    # Another tester's server must not get the port of a server that a test has killed.
    tester = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    ports.PORTS = ports.PORTS[tester :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Distribute the tests over the testers."""
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests, the longest first."""
    items[:] = longest_first(items)


class Servers(NamedTuple):
    """Both servers of the session."""

    kafka: EmbeddedKafka
    cassandra: EmbeddedCassandra


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Producers keep their state in a directory of this session, not of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def stopped_servers() -> Iterator[Servers]:
    """The session's servers; each starts when a test first requests it."""
    from app.embedded import EmbeddedCassandra, EmbeddedKafka

    servers = Servers(EmbeddedKafka(timeout=300.0), EmbeddedCassandra(timeout=300.0))
    yield servers
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def servers(stopped_servers: Servers) -> Servers:
    """The session's Kafka and Cassandra, started together."""
    from app.embedded import start_together

    start_together(*stopped_servers)
    return stopped_servers


@pytest.fixture(scope="session")
def kafka(stopped_servers: Servers) -> EmbeddedKafka:
    """The session's Kafka. A test that stops, kills or pauses a server starts its own."""
    return stopped_servers.kafka.start()


@pytest.fixture(scope="session")
def cassandra(stopped_servers: Servers) -> EmbeddedCassandra:
    """The session's Cassandra. A test that stops, kills or pauses a server starts its own."""
    return stopped_servers.cassandra.start()


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A unique name, valid for topics, keyspaces and application ids."""
    name = re.sub(r"\W+", "_", request.node.name, flags=re.ASCII).strip("_").lower()
    return f"{name[:35].rstrip('_')}_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(condition, seconds=120)` returns the condition's value once it is true."""

    def wait(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
        deadline = time.monotonic() + seconds
        pause = 0.001
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        return value

    return wait


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """`gone(pid)`: whether that process has ended, reaped or not."""

    def is_gone(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    return is_gone


@pytest.fixture
def unused_port() -> int:
    """A port on which no process listens."""
    from app.embedded.ports import free_port

    return free_port()
