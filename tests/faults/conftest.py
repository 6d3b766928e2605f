"""Servers that these tests may kill, and scenarios on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.scenario import Scenario
from tests.faults.servers import Servers
from tests.faults.text import Shape
from tests.workers import ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.faults.plan import Fault
    from tests.faults.scenario import Report


@pytest.fixture(scope="session")
def victims() -> Iterator[Servers]:
    """A Kafka and a Cassandra that may be killed: no other tests use them."""
    with Servers() as servers:
        yield servers


@pytest.fixture
def scenario(victims: Servers, request: pytest.FixtureRequest) -> Callable[..., Scenario]:
    """Make a scenario of two workers and the faults given."""
    # Not a temporary directory: the logs are wanted when a test has failed.
    logs = ROOT / "build" / "faults"
    logs.mkdir(parents=True, exist_ok=True)

    def make(*faults: Fault, seconds: float = 8.0, lines: int = 50_000) -> Scenario:
        seed = len(request.node.name)
        return Scenario(victims, logs, seed, faults, seconds=seconds, shape=Shape(lines=lines))

    return make


@pytest.fixture
def survives(scenario: Callable[..., Scenario]) -> Callable[..., Awaitable[Report]]:
    """Two workers that count exactly, without a traceback, while the faults given strike."""

    async def run(*faults: Fault, seconds: float = 8.0) -> Report:
        report = await scenario(*faults, seconds=seconds).run()
        assert not [alarm for alarm in report.alarms if "Traceback" in alarm], report.alarms
        return report

    return run
