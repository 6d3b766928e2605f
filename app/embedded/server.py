"""The base class of the embedded servers: one JVM with its ports, directory and life cycle."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from app.embedded import ports
from app.embedded.class_archive import ClassArchive
from app.embedded.diagnosis import End, explain, no_space, port_in_use
from app.embedded.directory import DataDirectory
from app.embedded.jar_lock import CASSANDRA
from app.embedded.jars import JarCache
from app.embedded.java import find_java
from app.embedded.process import Process
from app.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.embedded.options import ServerOptions

__all__ = ["EmbeddedServer"]

_LOGBACK = Path(__file__).with_name("logback.xml")
_SECONDS_TO_STOP = 30.0
# Cassandra's first commit log takes 32 MiB.
_BYTES_TO_START = 64 << 20
# With less space a server can't even log why it ended.
_BYTES_TO_LOG = 1 << 20
_JVM_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)


class EmbeddedServer(ABC):
    """A real server in a JVM of its own, for prototypes and tests.

    Use it as a context manager, `with` or `async with`, or call `start` and `close`. Ports and data
    stay the same through `stop`, `kill`, `start` and `restart`; `close` deletes the data unless a
    directory was given. The server ends with this process, even if that is killed.
    """

    name: ClassVar[str]
    jars: ClassVar[str]
    """Its set of jars in the lock file."""
    _serving: ClassVar[str]
    """The log line that states that the server accepts clients."""

    _heap: ClassVar[str]
    """The default maximum heap."""

    def __init__(self, port: int = 0, **options: Unpack[ServerOptions]) -> None:
        self._host = options.get("host", "127.0.0.1")
        self._ports = {"port": port or ports.free_port(self._host)}
        self._directory = DataDirectory(options.get("data"), self.name)
        self._settings = dict(options.get("settings", {}))
        self._java_options = [
            f"-Xmx{options.get('heap', self._heap)}",
            *options.get("java_options", ()),
        ]
        self._timeout = options.get("timeout", 120.0)
        self._process: Process | None = None
        self._archive: ClassArchive | None = None
        self._called_off = threading.Event()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port that clients use; known before the start."""
        return self._ports["port"]

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{self._host}:{self.port}"

    @property
    def data(self) -> Path:
        """The directory of its data, settings and log."""
        return self._directory.path

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.data / "server.log"

    @property
    def pid(self) -> int:
        """Process id of its JVM. Raises UnavailableError when it does not run."""
        return self._running_process().pid

    @property
    def running(self) -> bool:
        """Whether its JVM is alive; a paused one is."""
        return self._process is not None and self._process.running

    def start(self) -> Self:
        """Start it and wait until it serves; does nothing if it runs already.

        Raises UnavailableError if it can't start: no Java, no jars, a port in use, a full disk.
        """
        if self.running:
            return self
        atexit.register(self._close_at_exit, os.getpid())
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop it in order (SIGTERM; SIGKILL after 30 s) and keep its data."""
        self._end(lambda process: process.terminate(_SECONDS_TO_STOP))

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would, and keep its data."""
        self._end(Process.kill)

    def restart(self) -> Self:
        """Stop it, if it runs, and start it on the same ports and data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Suspend it (SIGSTOP): its connections stay open and silent."""
        self._running_process().pause()

    def resume(self) -> None:
        """Resume it after `pause` (SIGCONT)."""
        self._running_process().resume()

    def check(self) -> None:
        """Raise UnavailableError with the reason if it was started and has ended by itself."""
        if self._process is not None and not self._process.running:
            raise self._explain(self._process, "while it served")

    def call_off(self) -> None:
        """Make a `start` in another thread fail soon, and later ones too, until `close`."""
        self._called_off.set()

    def close(self) -> None:
        """End it and delete its data, unless a directory was given."""
        writes = self._archive is not None and self._archive.is_written
        try:
            # An orderly stop takes seconds, only to save data that is deleted here.
            if self._directory.is_temporary and not writes:
                self.kill()
            else:
                self.stop()
        finally:
            self._directory.discard()
            self._called_off.clear()
            atexit.unregister(self._close_at_exit)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.__enter__))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            self.call_off()
            with contextlib.suppress(UnavailableError):
                await starting
            self.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    @abstractmethod
    def _configure(self, directory: Path) -> None:
        """Write the settings files."""

    @abstractmethod
    def _arguments(self, directory: Path) -> list[str]:
        """JVM options, main class and arguments."""

    def _over(self, made: Mapping[str, Any]) -> dict[str, Any]:
        both = {**made, **self._settings}
        return {key: value for key, value in both.items() if value is not None}

    def _prepare(self, directory: Path) -> None:  # noqa: B027 — most have nothing to do
        """Prepare the directory once before the first start."""

    def _start(self) -> None:
        java = find_java()
        jars = JarCache().paths(self.jars, CASSANDRA)
        for parameter, port in self._ports.items():
            if not ports.is_free(port, self._host):
                raise port_in_use(self.name, parameter, port, self._host)
        directory = self._directory.acquire()
        if shutil.disk_usage(directory).free < _BYTES_TO_START:
            raise no_space(self.name)
        if self._archive is not None:
            self._archive.abandon()  # its JVM has ended by itself
        class_path = self._class_path(jars)
        self._archive = ClassArchive(java, class_path)
        options = [*self._archive.to_map(), *self._options(directory)]
        self._command = [str(java), "-cp", class_path, *options]
        # Each JVM unpacks native libraries here and, when killed, leaves them.
        shutil.rmtree(directory / "tmp", ignore_errors=True)
        (directory / "tmp").mkdir()
        self._configure(directory)
        self._prepare(directory)
        self._set_logs_aside(directory)
        self._process = self._run(*self._archive.to_write(), *self._arguments(directory))
        self._wait_until(self._serves, self._process)

    def _set_logs_aside(self, directory: Path) -> None:
        # The logs that a start reads must be those of this start.
        for log in (directory / "output.log", directory / "server.log"):
            with contextlib.suppress(FileNotFoundError):
                log.replace(log.with_name(f"{log.name}.1"))

    def _class_path(self, jars: Mapping[str, Sequence[Path]]) -> str:
        # Kafka has no log binding of its own and would end without a message. Cassandra's logback
        # comes first, with the slf4j that knows it: Kafka's own slf4j is older.
        logs = [jar for jar in jars[CASSANDRA] if jar.name.startswith(("logback-", "slf4j-api-"))]
        return os.pathsep.join(str(jar) for jar in dict.fromkeys([*logs, *jars[self.jars]]))

    def _options(self, directory: Path) -> list[str]:
        return [
            *_JVM_OPTIONS,
            f"-Djava.io.tmpdir={directory / 'tmp'}",
            f"-Dlogback.configurationFile={_LOGBACK.as_uri()}",
            f"-Dwordcount.log={directory / 'server.log'}",
        ]

    def _run(self, *arguments: str) -> Process:
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}  # or Java can't open paths beyond ASCII
        command = [*self._command, *arguments]
        return Process(command, self.data / "output.log", environ)

    def _serves(self) -> bool:
        return self._serving in _read(self.log) and ports.is_open(self.port, self._host)

    def _wait_until(self, condition: Callable[[], bool], process: Process) -> None:
        deadline = time.monotonic() + self._timeout
        while not condition():
            if not process.running:
                # The process may have met the condition, and ended, since the look above.
                if condition():
                    return
                raise self._explain(process, "before it served")
            if self._called_off.is_set():
                raise UnavailableError(f"The start of {self.name} was called off")
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self.name} did not serve within {self._timeout:g} s; "
                    "give it more time (timeout), or the machine less to do"
                )
            self._called_off.wait(0.02)

    def _explain(self, process: Process, when: str) -> UnavailableError:
        if shutil.disk_usage(self.data).free < _BYTES_TO_LOG:
            return no_space(self.name)
        text = _read(self.log) + _read(self.data / "output.log")
        end = End(self.name, when, process.exit_status, text)
        return explain(end, self._ports, self._host)

    def _end(self, how: Callable[[Process], None]) -> None:
        process, self._process = self._process, None
        if process is not None:
            how(process)
        if self._archive is not None:
            killed = process is None or process.exit_status == -signal.SIGKILL
            self._archive.abandon() if killed else self._archive.finish()
        self._directory.release()

    def _running_process(self) -> Process:
        if self._process is None or not self._process.running:
            raise UnavailableError(f"{self.name} does not run; start it first")
        return self._process

    def _close_at_exit(self, owner: int) -> None:
        # A forked process has this object too, but not the server.
        if owner == os.getpid():
            self.close()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
