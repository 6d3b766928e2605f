"""A peer with the Tcp of Apache Pekko Streams: a small Java program, compiled on first use.

`python -m tests.pekko` rewrites the lock file of its jars after a change of the versions below.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from app.embedded.java import find_java
from tests.jars import jars_of

__all__ = ["LOCK", "ROOTS", "command"]

LOCK = Path(__file__).with_name("jars.lock")
PEKKO = "pekko"
COMPILER = "ecj"

# Eclipse's compiler, since a machine with a Java may lack a JDK.
ROOTS = (
    (PEKKO, ("org.apache.pekko", "pekko-stream_2.13", "1.1.5")),
    (COMPILER, ("org.eclipse.jdt", "ecj", "3.40.0")),
)


@cache
def _classpath() -> str:
    path = os.pathsep.join(map(str, jars_of(LOCK, PEKKO)))
    classes = mkdtemp(prefix="pekko-")
    done = subprocess.run(
        [
            str(find_java()),
            "-cp",
            os.pathsep.join(map(str, jars_of(LOCK, COMPILER))),
            "org.eclipse.jdt.internal.compiler.batch.Main",
            "-17",
            "-nowarn",
            "-cp",
            path,
            "-d",
            classes,
            str(Path(__file__).with_name("Server.java")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return os.pathsep.join([classes, path])


def command(port: int, start: int, end: int) -> list[str]:
    """Return the command that serves the lines `pekko start` to `pekko end - 1` on a port.

    Port 0 selects a free one. The command prints `port N` once it listens.
    """
    java = [str(find_java()), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"]
    return [*java, "-cp", _classpath(), "Server", str(port), str(start), str(end)]
