"""A plan of faults and their times, drawn from a seed or written by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["KINDS", "POINTS", "Fault", "draw"]

POINTS = (
    "writer.sent",
    "writer.sent:SIGSTOP",
    "count.committed",
    "count.committed:SIGSTOP",
    "count.applied",
    "flush.taken",
    "flush.taken:SIGSTOP",
    "flush.written",
    "store.recovered",
)
"""The places named in the application, and what happens there: SIGKILL, or a long SIGSTOP."""

WORKER_KINDS = ("kill", "stop", "freeze", "point", "join", "roll", "disk")
SERVER_KINDS = ("kafka kill", "kafka freeze", "cassandra kill", "cassandra freeze")
KINDS = WORKER_KINDS + SERVER_KINDS

OTHERS = (
    "freeze",
    "point",
    "kafka kill",
    "stop",
    "cassandra kill",
    "point",
    "join",
    "disk",
    "cassandra freeze",
    "point",
    "roll",
    "kafka freeze",
)
"""Faults beside kills, taken in turn; each seed begins at another one."""

DATA = ("same", "same", "empty", "cut")
"""The data directory a killed worker comes back with: as it was, none, or with files cut short."""


_DATA_LABELS = {"same": "", "empty": " and data deleted", "cut": " and files cut short"}


@dataclass(frozen=True)
class Fault:
    """One fault: it begins `at` seconds after the first line and lasts `seconds`.

    `worker` is the worker it strikes; `data` what its data directory is like afterwards; `point`
    (NAME:TIMES or NAME:TIMES:SIGNAL) the place in the code where it strikes.
    """

    at: float
    kind: str
    seconds: float = 0.0
    worker: int = 0
    data: str = "same"
    point: str = ""

    @property
    def label(self) -> str:
        """Name under which the report counts the fault."""
        if self.point:
            return f"{self.kind} at {self.point}"
        return f"{self.kind}{_DATA_LABELS[self.data]}"

    def __str__(self) -> str:
        what = [self.kind]
        if self.kind in WORKER_KINDS and self.kind not in ("join", "roll"):
            what.append(f"worker {self.worker}")
        if self.point:
            what.append(f"at {self.point}")
        if self.kind in ("kill", "point") and self.data != "same":
            what.append(f"({self.data} data)")
        return f"{self.at:5.1f} s: {' '.join(what)} for {self.seconds:.1f} s"


def draw(
    seed: int,
    seconds: float,
    workers: int,
    session_seconds: float,
    *,
    disk: bool = False,
    spared: int = 0,
) -> list[Fault]:
    """A plan of a seed, over so many seconds: a kill every few, and one after another the others.

    One in four of the others comes together with another. `disk`: whether disks may be filled;
    `spared`: workers, from the first on, that nothing strikes.
    """
    rng = random.Random(f"plan {seed}")
    plan: list[Fault] = []
    at = rng.uniform(0.5, 3)
    while at < seconds:
        data = rng.choice(DATA)
        plan.append(Fault(at, "kill", rng.uniform(0, 2), rng.randrange(spared, workers), data))
        at += rng.uniform(2, 7)
    at, turn = rng.uniform(1, 4), 5 * seed
    while at < seconds:
        kind = OTHERS[turn % len(OTHERS)]
        turn += 1
        if (kind != "disk" or disk) and (kind != "roll" or not spared):
            worker = 0 if kind == "disk" else rng.randrange(spared, workers)
            plan.append(_other(rng, at, kind, worker, session_seconds))
            at += 0.0 if rng.random() < 0.25 else rng.uniform(3, 9)
    return sorted(plan, key=lambda fault: fault.at)


def _other(rng: random.Random, at: float, kind: str, worker: int, session_seconds: float) -> Fault:
    seconds = rng.uniform(0, 2)
    data, point = "same", ""
    if kind == "freeze":
        seconds = session_seconds + rng.uniform(0, 4)
    elif kind == "point":
        name, _, signal = rng.choice(POINTS).partition(":")
        times = 1 if name == "store.recovered" else rng.randint(1, 12)
        point = ":".join(filter(None, (name, str(times), signal)))
        data = "empty" if name == "store.recovered" else "same"
        seconds = session_seconds + rng.uniform(0, 3) if signal else seconds
    elif kind == "disk":
        seconds = 20.0
    elif kind in SERVER_KINDS or kind == "join":
        seconds = rng.uniform(1, 10)
    return Fault(at, kind, seconds, worker, data, point)
