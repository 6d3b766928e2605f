"""Measures CPU time and memory of processes and their descendants."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Meter", "cpu_s"]


class Meter:
    """Samples process trees; `peak_mib` is the largest sum of resident memory so far."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._cpu: dict[int, float] = {}

    def look(self, pids: Iterable[int]) -> float:
        """Return the CPU seconds of the trees below `pids` so far, ended processes included."""
        resident = 0
        for pid in pids:
            for process in _tree(pid):
                # An ended process keeps its last value in the sum; a new one adds its own.
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    resident += process.memory_info().rss
        self.peak_mib = max(self.peak_mib, resident / (1 << 20))
        return sum(self._cpu.values())


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that one process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
