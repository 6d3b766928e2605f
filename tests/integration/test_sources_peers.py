"""`produce zeromq`, `actor` and `custom` deliver lines of peers, through kills."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.sources.actor_client import RemoteActor
from tests.delivered import delivered, lines_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.embedded import EmbeddedKafka
    from tests.producers import Produce

DOCS = Path(__file__).parents[2] / "docs" / "sources.md"

PUSH = textwrap.dedent("""
    import sys, time, zmq
    peer = zmq.Context().socket(zmq.PUSH)
    peer.bind(sys.argv[1])
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        peer.send(b"message %d" % number)
    time.sleep(600)
""")

TELL = textwrap.dedent("""
    import os, signal, sys
    from app.sources.actor_client import RemoteActor
    with RemoteActor("127.0.0.1", int(sys.argv[1])) as actor:
        for number in range(int(sys.argv[2]), int(sys.argv[3])):
            actor.tell(f"{number}")
        actor.flush()
        print("flushed", flush=True)
""")


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`python(script, …)` runs a script; running processes are killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def test_messages_of_zeromq_arrive_once(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    python: Callable[..., subprocess.Popen[str]],
    unused_port: int,
) -> None:
    """Messages arrive after the pusher, and after the producer, was killed and restarted."""
    endpoint = f"tcp://127.0.0.1:{unused_port}"
    arguments = ("zeromq", endpoint, "--pull", "--write-ahead")
    run = produce.watch(*arguments)
    for start in (0, 20_000):
        peer = python(PUSH, endpoint, start, start + 20_000)
        await delivered(kafka.address, unique, start + 20_000)
        if start == 0:
            peer.kill()
    run.kill()
    run = produce.watch(*arguments)
    peer.kill()
    python(PUSH, endpoint, 40_000, 50_000)
    found = await delivered(kafka.address, unique, 50_000)
    assert sorted(found) == sorted(b"message %d" % number for number in range(50_000))
    assert run.stop()[0] == 0


ACTOR = textwrap.dedent("""
    from app.sources.actor import StreamingActor

    class Reader(StreamingActor[str]):
        def receive(self, message):
            if message == "crash":
                raise ValueError("as sent")
            self.store(message)
""")


async def test_messages_to_an_actor_arrive_from_other_processes(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    python: Callable[..., subprocess.Popen[str]],
    unused_port: int,
    tmp_path: Path,
) -> None:
    """No message is lost when senders and producer are killed and the actor crashes."""
    (tmp_path / "own_actor.py").write_text(ACTOR)
    arguments = ("actor", "own_actor:Reader", "--listen", f"127.0.0.1:{unused_port}")
    produce.environ["PYTHONPATH"] = str(tmp_path)
    run = produce.watch(*arguments)
    steady = python(TELL, unused_port, 0, 30_000)
    doomed = python(TELL, unused_port, 100_000, 1_000_000)
    with RemoteActor("127.0.0.1", unused_port) as actor:
        actor.tell("crash")
        actor.tell("after the crash")
        await asyncio.to_thread(actor.flush)
    await delivered(kafka.address, unique, 1000)
    doomed.kill()
    run.kill()
    run = produce.watch(*arguments)
    assert steady.stdout is not None
    assert await asyncio.to_thread(steady.stdout.readline) == "flushed\n"
    assert run.stop()[0] == 0
    found = set(await lines_in(kafka.address, unique))
    assert found >= {b"%d" % number for number in range(30_000)} | {b"after the crash"}


def _documented(title: str) -> str:
    """Return the first Python code below a title of the documentation."""
    section = DOCS.read_text().split(f"\n## {title}\n", 1)[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_documented_source_works_as_written(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """The code of docs/sources.md runs when its file is named on the command line."""
    code = _documented("A source of your own")
    assert code.count("\n") <= 20
    (tmp_path / "countdown.py").write_text(code)
    produce.environ["PYTHONPATH"] = str(tmp_path)
    status, out, err = produce("custom", "countdown:Countdown", "3")
    assert (status, out) == (0, "4 lines acknowledged by Kafka\n"), err
    assert sorted(await lines_in(kafka.address, unique)) == [b"0", b"1", b"2", b"3"]


async def test_the_documented_actor_works_as_written(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path, unused_port: int
) -> None:
    """The code of docs/sources.md receives messages of the documented client."""
    (tmp_path / "readings.py").write_text(_documented("Actors"))
    produce.environ["PYTHONPATH"] = str(tmp_path)
    address = f"127.0.0.1:{unused_port}"
    run = produce.watch("actor", "readings:Readings", "--listen", address)
    with RemoteActor("127.0.0.1", unused_port) as actor:
        actor.tell({"sensor": "roof", "celsius": 21.5})
        await asyncio.to_thread(actor.flush)
    assert await delivered(kafka.address, unique, 1) == [b"roof 21.5"]
    assert run.stop()[0] == 0
