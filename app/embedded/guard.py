"""Ends a server together with the Python process that started it, even if that is killed.

Run as a script, by its path, so it imports the standard library only:

    guard.py exec PARENT COMMAND…   on Linux: becomes COMMAND, which the kernel kills with PARENT
    guard.py watch                  elsewhere: reads a process id from stdin, kills it at its end
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(parent: int, command: list[str]) -> None:
    """Replace this process by `command`, to be killed when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The parent may have died before prctl took effect.
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 — that is the point: no shell, the same process


def watch() -> None:
    """Kill the process whose id came on stdin, unless a second line releases it."""
    pid = sys.stdin.readline().strip()
    # The pipe closes when the parent ends, however it ends.
    if pid and not sys.stdin.readline():
        os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "exec":
        become(int(sys.argv[2]), sys.argv[3:])
    else:
        watch()
