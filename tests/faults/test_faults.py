"""Every kind of fault, once each: the counts in Cassandra are those of the text.

`make soak` mixes them at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import disks
from tests.faults.plan import Fault
from tests.faults.scenario import SESSION_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.scenario import Report, Scenario

    Survives = Callable[..., Awaitable[Report]]


async def test_killed_workers(survives: Survives) -> None:
    """A worker that is killed comes back with its data, with none, or with files cut short.

    Blocks that get lost on their way to it, of lines or of the changelog, are fetched again.
    """
    await survives(
        Fault(3, "kill", 0.5, 0, point="blocks.fed:4"),
        Fault(6, "kill", 0.5, 1, "empty", "blocks.fetched:1"),
        Fault(9, "kill", 0.5, 0, "cut"),
        seconds=10,
    )


async def test_rolling_restart(survives: Survives) -> None:
    """Workers stop in order with status 0 and come back; another one joins and leaves."""
    await survives(
        Fault(4, "stop", 0.2, 0), Fault(5, "join", 5), Fault(8, "stop", 0.2, 1), seconds=10
    )


async def test_zombie(survives: Survives) -> None:
    """A worker that was halted past its session, and goes on, adds nothing twice.

    The one is halted at any time, the other in the middle of a transaction.
    """
    halted = SESSION_SECONDS + 3
    report = await survives(
        Fault(2, "freeze", halted, 0),
        Fault(3 + halted, "point", halted, 1, point="writer.sent:5:SIGSTOP"),
        seconds=10 + 2 * halted,
    )
    assert not report.struck["point not reached"]


@pytest.mark.parametrize(
    "points",
    [
        ("writer.sent:5", "count.committed:3:SIGSTOP"),
        ("store.recovered:1", "flush.taken:3"),
    ],
    ids="+".join,
)
async def test_points_in_the_code(survives: Survives, points: tuple[str, ...]) -> None:
    """Workers that end, or are halted, at the worst places leave nothing half done."""
    faults = []
    for worker, point in enumerate(points):
        seconds = SESSION_SECONDS + 2 if "STOP" in point else 0.2
        data = "empty" if point.startswith("store") else "same"
        faults.append(Fault(2, "point", seconds, worker, data, point))
    report = await survives(*faults, seconds=25)
    assert report.struck["point not reached"] < len(points)


async def test_broker_killed(survives: Survives) -> None:
    """A broker that is killed and comes back gets everything once."""
    await survives(Fault(4, "kafka kill", 2))


async def test_cassandra_away(survives: Survives) -> None:
    """While Cassandra is away counting goes on; all counts are there soon after it comes back."""
    await survives(Fault(3, "cassandra kill", 6))


async def test_two_at_once(survives: Survives) -> None:
    """A worker dies while Cassandra is away, another while the broker is."""
    await survives(
        Fault(3, "cassandra kill", 2),
        Fault(3, "kill", 1, 0, "empty"),
        Fault(7, "kafka kill", 1),
        Fault(7.2, "kill", 1, 1),
        seconds=10,
    )


@pytest.mark.skipif(not disks.can_mount(), reason="only root on Linux may mount a file system")
async def test_full_disk(scenario: Callable[..., Scenario]) -> None:
    """A worker whose disk is full stops with one line, and counts on once there is room."""
    report = await scenario(Fault(4, "disk", 20, 0), seconds=10).run()
    assert not report.struck["disk not noticed"]
