"""Runs a child process that does not outlive this one."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

__all__ = ["Process"]

_GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))


class Process:
    """A running command; its output goes to a file, or to the output of this process.

    It runs in `directory`, by default that of the file, so crash reports are found there.

    It has its own process group, so that Ctrl-C reaches only Python, which stops the command in
    order. If Python ends in any way, the command is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        output: Path | None,
        environ: Mapping[str, str],
        directory: Path | None = None,
    ) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None
        if sys.platform == "linux":
            guarded = [*_GUARD, "exec", str(os.getpid()), *command]
            self._popen = _in_lasting_thread(lambda: _popen(guarded, output, environ, directory))
        else:
            self._watcher = start_watcher()
            self._popen = _popen(command, output, environ, directory)
            send_pid(self._watcher, self._popen.pid)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it is alive; a paused process is."""
        return self._popen.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Its exit status, minus the signal if one ended it; None while it is alive."""
        return self._popen.poll()

    def terminate(self, seconds: float) -> None:
        """Send SIGTERM; kill it if it has not ended after `seconds`."""
        self.resume()
        self._popen.terminate()
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._popen.kill()
        self._popen.wait()
        self._release()

    def pause(self) -> None:
        """Suspend it (SIGSTOP); when this returns, none of its threads runs."""
        self._popen.send_signal(signal.SIGSTOP)
        # The signal only asks: on a busy machine threads run on after it has been sent. The kernel
        # reports the stop once the last thread has halted.
        if sys.platform == "linux":
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Resume it (SIGCONT); does nothing if it is not paused."""
        self._popen.send_signal(signal.SIGCONT)

    def _release(self) -> None:
        if self._watcher is not None:
            release(self._watcher)
            self._watcher = None


def start_watcher() -> subprocess.Popen[bytes]:
    """A process that kills the watched one as soon as this process ends."""
    return subprocess.Popen(  # noqa: S603 — this package's own script
        [*_GUARD, "watch"], stdin=subprocess.PIPE, start_new_session=True
    )


def send_pid(watcher: subprocess.Popen[bytes], pid: int) -> None:
    """Send a watcher the id of the process to kill."""
    assert watcher.stdin is not None  # noqa: S101 — it was started with a pipe
    watcher.stdin.write(b"%d\n" % pid)
    watcher.stdin.flush()


def release(watcher: subprocess.Popen[bytes]) -> None:
    """End a watcher without a kill."""
    # The pipe is broken if the watcher was killed: then nothing is left to end.
    with contextlib.suppress(BrokenPipeError):
        watcher.communicate(b"release\n")
    watcher.wait()


def _popen(
    command: Sequence[str],
    output: Path | None,
    environ: Mapping[str, str],
    directory: Path | None,
) -> subprocess.Popen[bytes]:
    with contextlib.nullcontext() if output is None else output.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 — the caller's own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=None if file is None else subprocess.STDOUT,
            cwd=directory or (output and output.parent),
            env=environ,
            start_new_session=True,
        )


Spawn = Callable[[], "subprocess.Popen[bytes]"]


class _LastingThread:
    """A thread that lives as long as the process.

    Linux takes the end of the *thread* that started a child for the parent's death, so a child
    started by a pool's thread would be killed when the pool shrinks.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._tasks: queue.SimpleQueue[tuple[Spawn, Future[subprocess.Popen[bytes]]]]
        self._tasks = queue.SimpleQueue()
        threading.Thread(target=self._work, name="embedded-servers", daemon=True).start()

    @property
    def usable(self) -> bool:
        """Threads do not survive a fork: a forked process needs its own."""
        return self._owner == os.getpid()

    def run(self, spawn: Spawn) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._tasks.put((spawn, future))
        try:
            return future.result()
        except BaseException:
            # Ctrl-C interrupted the wait: no caller receives this child, so kill it.
            future.add_done_callback(_kill_spawned)
            raise

    def _work(self) -> None:
        while True:
            spawn, future = self._tasks.get()
            try:
                future.set_result(spawn())
            except BaseException as error:
                future.set_exception(error)


def _kill_spawned(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.exception() is None:
        future.result().kill()
        future.result().wait()


_thread_lock = threading.Lock()
_thread: _LastingThread | None = None


def _in_lasting_thread(spawn: Spawn) -> subprocess.Popen[bytes]:
    global _thread  # noqa: PLW0603 — one thread for all servers, made at the first start
    with _thread_lock:
        if _thread is None or not _thread.usable:
            _thread = _LastingThread()
    return _thread.run(spawn)
