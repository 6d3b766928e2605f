"""Which faults happen when: a plan, drawn from a seed or written by hand."""

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

# "disk", too, for a worker whose data is on a small file system of its own.
WORKER_KINDS = ("kill", "stop", "freeze", "point", "join")
SERVER_KINDS = ("kafka kill", "kafka freeze", "cassandra kill", "cassandra freeze")
KINDS = WORKER_KINDS + SERVER_KINDS

DATA = ("same", "same", "empty", "cut")
"""The data directory a killed worker comes back with: as it was, none, or with files cut short."""


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

    def __str__(self) -> str:
        what = [self.kind]
        if self.kind in WORKER_KINDS and self.kind != "join":
            what.append(f"worker {self.worker}")
        if self.point:
            what.append(f"at {self.point}")
        if self.kind in ("kill", "point") and self.data != "same":
            what.append(f"({self.data} data)")
        return f"{self.at:5.1f} s: {' '.join(what)} for {self.seconds:.1f} s"


def draw(seed: int, seconds: float, workers: int, session_seconds: float) -> list[Fault]:
    """A plan of a seed: faults one after another, or two at once, over so many seconds."""
    rng = random.Random(f"plan {seed}")
    plan: list[Fault] = []
    at = rng.uniform(1, 4)
    while at < seconds:
        plan.append(_fault(rng, at, workers, session_seconds))
        at += 0.0 if rng.random() < 0.25 else rng.uniform(0.5, 8)
    return plan


def _fault(rng: random.Random, at: float, workers: int, session_seconds: float) -> Fault:
    kind = rng.choices(KINDS, weights=(5, 3, 3, 5, 2, 1, 0.5, 1, 1))[0]
    worker = rng.randrange(workers)
    data, point = "same", ""
    seconds = rng.uniform(0, 3)
    if kind == "freeze":
        seconds = session_seconds + rng.uniform(-1, 5)
    elif kind == "point":
        name, _, signal = rng.choice(POINTS).partition(":")
        times = 1 if name == "store.recovered" else rng.randint(1, 25)
        point = ":".join(filter(None, (name, str(times), signal)))
        data = "empty" if name == "store.recovered" else "same"
        seconds = session_seconds + rng.uniform(0, 3) if signal else seconds
    elif kind == "kill":
        data = rng.choice(DATA)
    elif kind in SERVER_KINDS or kind == "join":
        seconds = rng.uniform(1, 15)
    return Fault(at, kind, seconds, worker, data, point)
