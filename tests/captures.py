"""Draws docs/commands/*.svg: the terminal output of each command, from real runs.

python -m tests.captures
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from app.embedded import EmbeddedCassandra, EmbeddedKafka, close_together, start_together
from app.sources.sample import sample_text
from tests.conftest import Servers
from tests.integration.conftest import Stream
from tests.workers import ROOT, faust

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ROOT / "docs" / "commands"
COLUMNS, ROWS = 100, 50
SECONDS = 60.0
# Without rich's fonts: a browser would fetch them from another site.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "DejaVu Sans Mono"
)


def draw(name: str, command: str, output: str) -> None:
    """Write the picture of a terminal that shows `command` and its `output`."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    for line in output.rstrip().split("\n"):
        console.print(Text.from_ansi(_last_state(line)))
    console.print()  # rich cuts off the bottom of the last line
    svg = console.export_svg(title="", code_format=FORMAT, unique_id=name)
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(line.rstrip() for line in svg.splitlines())
    (FOLDER / f"{name}.svg").write_text(lines + "\n", encoding="utf-8")


def on_terminal(
    command: list[str], environ: Mapping[str, str], until: bytes | None = None
) -> tuple[str, int]:
    """Return a command's output on a terminal, and its status; send SIGINT once `until` appears."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environ = {**environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as run:
        os.close(theirs)
        output, deadline = b"", time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    output += os.read(ours, 65536)
                except OSError:  # Linux reports a closed other end in this way
                    break
            if until is not None and until in output:
                run.send_signal(signal.SIGINT)
                until = None
        with suppress(ProcessLookupError):
            run.terminate()
        status = run.wait(SECONDS)
    os.close(ours)
    return output.decode().replace("\r\n", "\n"), status


def _last_state(line: str) -> str:
    """Return the final state of a line that was redrawn in place."""
    line = re.sub(r"\x1b\[\?25[lh]", "", line)
    return re.split(r"\r|\x1b\[2K|\x1b\[1A", line.rstrip("\r"))[-1]


def _sample(lines: int) -> list[tuple[str, int]]:
    now = time.time_ns() // 1_000_000
    return [(line, now) for line in sample_text().split("\n")[:lines]]


def main() -> None:
    """Draw all pictures."""
    servers = Servers(EmbeddedKafka(), EmbeddedCassandra())
    try:
        with tempfile.TemporaryDirectory() as folder:
            start_together(*servers)
            _draw_all(Stream(servers, "wordcount", Path(folder)), Path(folder))
    finally:
        close_together(*servers)


def _draw_all(stream: Stream, folder: Path) -> None:
    def shot(name: str, *arguments: str, until: bytes | None = None) -> None:
        output, status = on_terminal(faust(*arguments), environ, until)
        shown = " ".join(arguments).replace(str(folder), "/data")
        draw(name, f"faust -A app {shown}", f"{output.replace(str(folder), '/data')}")
        print(f"{name}: status {status}")  # noqa: T201 - output of a script

    stream.lines = "lines"
    stream.configure(lines=stream.lines, keyspace="streaming_test", print=0)
    environ = stream.environ()
    shot("schema", "schema")
    shot("schema-apply", "schema", "--apply")
    workers = [stream.start() for _ in range(2)]
    environ = stream.environ(WORDCOUNT_WEB_PORT=str(workers[0].port))
    asyncio.run(stream.produce(_sample(4000)))
    workers[0].wait_until(
        lambda: sum(worker["lines"] for worker in workers[0].json("/api/status")["workers"]) == 4000
    )
    time.sleep(2)  # one more flush
    shot("top", "top", "-n", "10")
    shot("count", "count", "the")
    shot("count-json", "count", "the", "--json")
    shot("status", "status")
    text = folder / "access.log"
    text.write_text("GET /index.html 200\n" * 400_000, encoding="utf-8")
    shot("produce", "produce", "file", str(text))
    shot("produce-help", "produce", "--help")
    shot("servers", "servers", "--data", str(folder / "servers"), until=b"ready")
    shot("completion", "completion", "--help")
    workers[1].pause()
    workers[0].wait_until(lambda: workers[0].json("/api/status")["silent"])
    shot("status-trouble", "status")
    workers[1].resume()
    stream.close()
    shot("no-worker", "top")


if __name__ == "__main__":
    main()
