"""A start that can't succeed ends soon, with one line that names the thing and the remedy.

`pytest -s` on this file prints a table of what each bad start said.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from app.embedded import EmbeddedKafka
from app.embedded.ports import free_port
from tests.workers import environ_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cassandra.cluster import Session

    from tests.conftest import Servers

SECONDS = 30.0
"""How long a bad start may take, from when it went bad."""

BANNER = " → Cassandra "

TOKEN = "a-token-of-20-letters"  # noqa: S105 - a test's own

LATE_CONSUMER = """
import asyncio, os, pathlib
from aiokafka import AIOKafkaConsumer
from faust.cli.faust import cli

start = AIOKafkaConsumer.start

async def once_kafka_is_gone(self):
    pathlib.Path(os.environ["CONSUMER_STARTS"]).touch()
    while True:
        try:
            _, writer = await asyncio.open_connection(*os.environ["WORDCOUNT_BROKER"].split(":"))
        except OSError:
            return await start(self)
        writer.close()
        await asyncio.sleep(0.05)

AIOKafkaConsumer.start = once_kafka_is_gone
cli()
"""
"""Faust's command, whose consumer starts when the broker has gone."""

KAFKA_IS_AWAY = re.compile(r"\d\d:\d\d:\d\d WARNING Kafka at \S+ is away; nothing is lost, .*")
"""The one other line that a worker may say which loses its broker."""


class End(NamedTuple):
    """How a start ended."""

    status: int
    stdout: str
    stderr: list[str]


class Worker:
    """`faust -A app worker` as a process whose standard error is read as it comes."""

    def __init__(self, environ: dict[str, str], data: Path, *, late_consumer: bool) -> None:
        faust = ("-c", LATE_CONSUMER) if late_consumer else ("-m", "faust")
        self._consumer_starts = data.with_name(f"{data.name}-consumer-starts")
        self._process = subprocess.Popen(
            [sys.executable, *faust, "-A", "app", "--datadir", str(data), "worker"],
            env=environ_with(**environ, CONSUMER_STARTS=str(self._consumer_starts)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.stdout)),
            threading.Thread(target=self._read, args=(self._process.stderr, self.stderr)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(line.rstrip("\n") for line in iter(stream.readline, ""))

    def says(self, text: str) -> bool:
        """Whether it has said `text` on standard error; fails the test if it has ended first."""
        said = any(text in line for line in self.stderr)
        assert said or self._process.poll() is None, self.stderr
        return said

    @property
    def is_starting_its_consumer(self) -> bool:
        """Whether all but the late consumer has started; fails the test if it has ended first."""
        assert self._process.poll() is None, self.stderr
        return self._consumer_starts.exists()

    def end(self, seconds: float) -> End:
        """Wait for its end."""
        status = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return End(status, "\n".join(self.stdout), list(self.stderr))

    def close(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self.end(SECONDS)


@dataclass
class World:
    """Parts of a bad start: real servers, good settings, and means to spoil them."""

    tmp_path: Path
    unique: str
    fixture: Callable[[str], Any]
    wait_until: Callable[..., Any]
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def servers(self) -> Servers:
        """The session's servers."""
        servers: Servers = self.fixture("servers")
        return servers

    @property
    def session(self) -> Session:
        """A driver's session."""
        return self.fixture("session")

    def good(self, **settings: str) -> dict[str, str]:
        """Settings by which a worker would start, and `settings` over them."""
        kafka, cassandra = self.servers
        return {
            "WORDCOUNT_BROKER": kafka.address,
            "WORDCOUNT_CASSANDRA": cassandra.address,
            "WORDCOUNT_ID": "bad_starts",
            "WORDCOUNT_LINES": "bad_starts_lines",
            "WORDCOUNT_PARTITIONS": "1",
            "WORDCOUNT_KEYSPACE": self.fixture("good_keyspace"),
            "WORDCOUNT_WEB_PORT": str(free_port()),
            **{f"WORDCOUNT_{name}": value for name, value in settings.items()},
        }

    def start(
        self, environ: dict[str, str], data: Path | None = None, *, late_consumer: bool = False
    ) -> Worker:
        """Start a worker; it is killed when the test ends."""
        worker = Worker(environ, data or self.tmp_path / "data", late_consumer=late_consumer)
        self.stack.callback(worker.close)
        return worker

    def table(self, columns: str) -> dict[str, str]:
        """Good settings for a table of these columns."""
        keyspace = self.fixture("keyspace")
        self.session.execute(f"CREATE TABLE {keyspace}.words ({columns})")
        return self.good(KEYSPACE=keyspace)

    def topic(self, name: str, partitions: int) -> None:
        """Make a topic."""

        async def make() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka.address)
            await admin.start()
            try:
                await admin.create_topics([NewTopic(name, partitions, 1)])
            finally:
                await admin.close()

        asyncio.run(make())

    def kafka(self, **settings: str) -> EmbeddedKafka:
        """A Kafka of the test's own."""
        return self.stack.enter_context(EmbeddedKafka(settings=settings))

    def mute(self) -> str:
        """host:port of a server that takes connections and says nothing."""
        server = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        return "{}:{}".format(*server.getsockname())


@pytest.fixture(scope="session")
def good_keyspace(session: Session) -> Iterator[str]:
    """A keyspace with the default table."""
    name = "bad_starts"
    session.execute(
        f"CREATE KEYSPACE {name} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    session.execute(
        f"CREATE TABLE {name}.words (word text, window_start timestamp, count bigint, "
        "PRIMARY KEY (word, window_start))"
    )
    yield name
    session.execute(f"DROP KEYSPACE {name}")


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    unique: str,
    wait_until: Callable[..., Any],
) -> Iterator[World]:
    """Return the parts of a bad start."""
    world = World(tmp_path, unique, request.getfixturevalue, wait_until)
    with world.stack:
        yield world


@pytest.fixture(scope="session")
def show() -> Iterator[Callable[[str, End, float], None]]:
    """Collects what each start said; the table of it is printed at the end, for `pytest -s`."""
    rows: list[str] = []

    def add(case: str, end: End, seconds: float) -> None:
        error = next((line for line in end.stderr if line.startswith("Error: ")), "")
        rows.append(f"| {case} | {end.status} | {seconds:.1f} s | {error} |")

    yield add
    print("\n| bad start | status | took | line |\n|---|---|---|---|")  # noqa: T201
    print("\n".join(rows))  # noqa: T201


def expect(end: End, status: int, line: str, *, started: bool = False) -> None:
    """Hold an end to its status, its one line, and nothing else but what a start says."""
    said = "\n".join(end.stderr)
    errors = [line for line in end.stderr if line.startswith("Error: ")]
    assert len(errors) == 1, said
    assert re.fullmatch(f"Error: {line}", errors[0]), said
    assert end.stderr[-1] == errors[0], said
    assert end.status == status, said
    assert "Traceback" not in end.stdout + said
    before = end.stderr[:-1]
    if started:
        assert BANNER in before.pop(0), said
        before = [line for line in before if not KAFKA_IS_AWAY.fullmatch(line)]
    assert (end.stdout, before) == ("", [])


# Faults in the settings alone: the worker asks no server

SETTINGS = {
    "unknown setting": (
        {"BROKR": "kafka:9092"},
        r"WORDCOUNT_BROKR: there is no such setting; did you mean WORDCOUNT_BROKER\?",
    ),
    "bad duration": (
        {"WINDOW": "1 minute"},
        r"WORDCOUNT_WINDOW=1 minute: is not a duration; write it as 500ms, 5s, 10m or 24h",
    ),
    "bad size": (
        {"OUTPUT_BATCH_BYTES": "5kb"},
        r"WORDCOUNT_OUTPUT_BATCH_BYTES=5kb: is not a size; write it as 64KiB or 1MiB",
    ),
    "bad number": (
        {"PARTITIONS": "0"},
        r"WORDCOUNT_PARTITIONS=0: must be between 1 and 10000",
    ),
    "bad broker URL": (
        {"BROKER": "http://127.0.0.1:9092"},
        (
            r"WORDCOUNT_BROKER=http://127.0.0.1:9092: 'http://127.0.0.1:9092' "
            r"is not a Kafka broker; write kafka://host:port"
        ),
    ),
    "bad consistency level": (
        {"OUTPUT_CONSISTENCY": "MOST"},
        r"WORDCOUNT_OUTPUT_CONSISTENCY=MOST: must be one of ANY, ONE, .*",
    ),
    "env file missing": (
        {"ENV_FILE": "/nowhere/wordcount.env"},
        r"WORDCOUNT_ENV_FILE=/nowhere/wordcount.env: cannot be read: .*No such file.*",
    ),
    "step longer than the window": (
        {"WINDOW": "1m", "STEP": "2m"},
        r"WORDCOUNT_STEP: must not exceed WORDCOUNT_WINDOW, .*",
    ),
    "retention shorter than window and grace": (
        {"WINDOW": "1h", "RETENTION": "1h"},
        r"WORDCOUNT_RETENTION: must be at least the sum of WORDCOUNT_WINDOW and WORDCOUNT_GRACE",
    ),
    "password without user": (
        {"CASSANDRA_PASSWORD": "sesame"},
        r"WORDCOUNT_CASSANDRA_USERNAME: requires WORDCOUNT_CASSANDRA_PASSWORD .*; set both",
    ),
    "windows, but no column for them": (
        {"COLUMNS": "word,count"},
        r"WORDCOUNT_COLUMNS: lacks window_start, needed unless WORDCOUNT_WINDOW=none; add it",
    ),
    "web host that is an URL": (
        {"WEB_HOST": "http://localhost"},
        r"WORDCOUNT_WEB_HOST=http://localhost: is neither a name nor an address; write it as .*",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_wrong_setting(case: str, world: World, show: Callable[..., None]) -> None:
    """A wrong setting stops the start with status 2 and its name."""
    settings, line = SETTINGS[case]
    began = time.monotonic()
    end = world.start({f"WORDCOUNT_{k}": v for k, v in settings.items()}).end(SECONDS)
    show(case, end, time.monotonic() - began)
    expect(end, 2, line)
    assert "sesame" not in "".join(end.stderr)


# Faults outside the worker

NO_BROKER = r"no Kafka broker at {} \(\w+\); start one, or set WORDCOUNT_BROKER"
NO_FIT = r"table \S+ does not fit: {}; change the table or WORDCOUNT_COLUMNS, or name another .*"
NO_LISTENING = (
    r"the web server can't listen on {}: .*; "
    r"set WORDCOUNT_WEB_HOST and WORDCOUNT_WEB_PORT to a free address"
)


def no_broker(world: World) -> dict[str, str]:
    return world.good(BROKER=f"127.0.0.1:{free_port()}")


def unknown_broker(world: World) -> dict[str, str]:
    return world.good(BROKER="kafka.invalid:9092")


def cassandra_for_a_broker(world: World) -> dict[str, str]:
    return world.good(BROKER=world.servers.cassandra.address)


def mute_broker(world: World) -> dict[str, str]:
    return world.good(BROKER=world.mute())


def no_cassandra(world: World) -> dict[str, str]:
    return world.good(CASSANDRA=f"127.0.0.1:{free_port()}")


def unknown_cassandra(world: World) -> dict[str, str]:
    return world.good(CASSANDRA="cassandra.invalid")


def kafka_for_cassandra(world: World) -> dict[str, str]:
    return world.good(CASSANDRA=world.servers.kafka.address)


def mute_cassandra(world: World) -> dict[str, str]:
    return world.good(CASSANDRA=world.mute())


def unknown_datacenter(world: World) -> dict[str, str]:
    return world.good(CASSANDRA_DATACENTER="nowhere")


def no_keyspace(world: World) -> dict[str, str]:
    return world.good(KEYSPACE="nowhere")


def no_table(world: World) -> dict[str, str]:
    return world.good(TABLE="nothing")


def no_column(world: World) -> dict[str, str]:
    return world.table("word text, window_start timestamp, PRIMARY KEY (word, window_start)")


def count_as_text(world: World) -> dict[str, str]:
    return world.table(
        "word text, window_start timestamp, count text, PRIMARY KEY (word, window_start)"
    )


def counter_column(world: World) -> dict[str, str]:
    return world.table(
        "word text, window_start timestamp, count counter, PRIMARY KEY (word, window_start)"
    )


def key_without_window(world: World) -> dict[str, str]:
    return world.table("word text PRIMARY KEY, window_start timestamp, count bigint")


def partitions_of_lines(world: World) -> dict[str, str]:
    world.topic(world.unique, 3)
    return world.good(LINES=world.unique, ID=world.unique + "_app")


def partitions_of_internal_topic(world: World) -> dict[str, str]:
    world.topic(f"{world.unique}-partials", 2)
    return world.good(ID=world.unique)


def more_replicas_than_brokers(world: World) -> dict[str, str]:
    return world.good(ID=world.unique, LINES=f"{world.unique}_lines", REPLICATION="3")


def taken_port(world: World) -> dict[str, str]:
    return world.good(WEB_PORT=world.mute().rpartition(":")[2])


def foreign_host(world: World) -> dict[str, str]:
    return world.good(WEB_HOST="192.0.2.1", WEB_TOKEN=TOKEN)


def open_to_all(world: World) -> dict[str, str]:
    return world.good(WEB_HOST="0.0.0.0")  # noqa: S104 - refused


def unknown_host(world: World) -> dict[str, str]:
    return world.good(WEB_HOST="web.invalid", WEB_TOKEN=TOKEN)


AROUND: dict[str, tuple[Callable[[World], dict[str, str]], int, str]] = {
    "no broker at the address": (no_broker, 1, NO_BROKER.format(r"127\.0\.0\.1:\d+")),
    "broker's name unknown": (unknown_broker, 1, NO_BROKER.format(r"kafka\.invalid:9092")),
    "Cassandra at the broker's port": (
        cassandra_for_a_broker,
        1,
        NO_BROKER.format(r"127\.0\.0\.1:\d+"),
    ),
    "mute server at the broker's port": (
        mute_broker,
        1,
        NO_BROKER.format(r"127\.0\.0\.1:\d+"),
    ),
    "topic of lines with another number of partitions": (
        partitions_of_lines,
        2,
        (
            r"topic \S+ has 3 partitions, not 1: set WORDCOUNT_PARTITIONS=3, "
            r"or use another topic by WORDCOUNT_LINES"
        ),
    ),
    "internal topic with another number of partitions": (
        partitions_of_internal_topic,
        2,
        (
            r"topic \S+-partials has 2 partitions, not 1: set WORDCOUNT_PARTITIONS=2, "
            r"or use another topic by WORDCOUNT_ID"
        ),
    ),
    "more replicas than brokers": (
        more_replicas_than_brokers,
        2,
        r"topic \S+ can't be created: .*; create it by hand, or fix WORDCOUNT_REPLICATION .*",
    ),
    "no Cassandra at the address": (
        no_cassandra,
        1,
        (
            r"Cassandra at 127\.0\.0\.1:\d+ can't be reached: .*; "
            r"is it running, and is WORDCOUNT_CASSANDRA right\?"
        ),
    ),
    "Cassandra's name unknown": (
        unknown_cassandra,
        1,
        r"WORDCOUNT_CASSANDRA: no address is known for cassandra\.invalid; check the name",
    ),
    "Kafka at Cassandra's port": (
        kafka_for_cassandra,
        1,
        r"Cassandra at 127\.0\.0\.1:\d+.*; is it running, and is WORDCOUNT_CASSANDRA right\?",
    ),
    "mute server at Cassandra's port": (
        mute_cassandra,
        1,
        r"Cassandra at 127\.0\.0\.1:\d+.*; is it running, and is WORDCOUNT_CASSANDRA right\?",
    ),
    "data centre unknown": (
        unknown_datacenter,
        2,
        (
            r"WORDCOUNT_CASSANDRA_DATACENTER=nowhere: there is no such data centre; "
            r"there is datacenter1"
        ),
    ),
    "keyspace missing": (
        no_keyspace,
        2,
        r"keyspace nowhere is missing; run: faust -A app schema --apply",
    ),
    "table missing": (
        no_table,
        2,
        r"table bad_starts\.nothing is missing; run: faust -A app schema --apply",
    ),
    "column missing": (no_column, 2, NO_FIT.format("there is no column count for count")),
    "count is text": (
        count_as_text,
        2,
        NO_FIT.format(r"column count is text, which can't hold count \(make it .*bigint.*\)"),
    ),
    "count is a counter": (
        counter_column,
        2,
        NO_FIT.format(
            r"column count is a counter, to which absolute counts can't be written "
            r"\(make it bigint\)"
        ),
    ),
    "key without window_start": (
        key_without_window,
        2,
        NO_FIT.format(
            r"neither window_start nor window_end is in the primary key, "
            r"so windows would overwrite each other"
        ),
    ),
    "web host without a token": (
        open_to_all,
        2,
        r"the web server would listen on 0\.0\.0\.0, for everybody .*set WORDCOUNT_WEB_TOKEN .*",
    ),
    "web port taken": (taken_port, 1, NO_LISTENING.format(r"127\.0\.0\.1:\d+")),
    "web host not of this machine": (foreign_host, 1, NO_LISTENING.format(r"192\.0\.2\.1:\d+")),
    "web host unknown": (unknown_host, 1, NO_LISTENING.format(r"web\.invalid:\d+")),
}


@pytest.mark.parametrize("case", AROUND)
def test_wrong_around(case: str, world: World, show: Callable[..., None]) -> None:
    """A fault outside the worker stops its start with status 2 or 1."""
    arrange, status, line = AROUND[case]
    environ = arrange(world)
    began = time.monotonic()
    end = world.start(environ).end(SECONDS)
    show(case, end, time.monotonic() - began)
    expect(end, status, line)


def test_data_directory_that_cannot_be_written(world: World, show: Callable[..., None]) -> None:
    """A data directory below a regular file, which nobody can make, stops the start."""
    (world.tmp_path / "file").touch()
    began = time.monotonic()
    end = world.start(world.good(), world.tmp_path / "file" / "data").end(SECONDS)
    show("data directory can't be written", end, time.monotonic() - began)
    expect(end, 1, r"data directory \S+/file/data can't be written: .*--datadir DIR worker")


def test_second_worker_on_one_data_directory(world: World, show: Callable[..., None]) -> None:
    """The second worker on a data directory says so; the first one goes on."""
    first = world.start(world.good(ID=world.unique))
    world.wait_until(partial(first.says, BANNER), SECONDS)
    began = time.monotonic()
    end = world.start(world.good(ID=world.unique)).end(SECONDS)
    show("data directory of another worker", end, time.monotonic() - began)
    expect(end, 1, r"data directory \S+ is used by another worker.*--datadir DIR worker")
    assert not first.says("Error")


# Faults after the checks

GONE = r"Kafka at 127\.0\.0\.1:\d+ went away while the worker started; start it again .*"


def test_broker_killed_after_the_checks(world: World, show: Callable[..., None]) -> None:
    """A broker that dies after the checks, before the worker has joined, ends the start."""
    kafka = world.kafka()
    worker = world.start(world.good(BROKER=kafka.address))
    world.wait_until(partial(worker.says, BANNER), SECONDS)
    kafka.kill()
    began = time.monotonic()
    end = worker.end(SECONDS)
    show("broker killed after the checks", end, time.monotonic() - began)
    expect(end, 1, GONE, started=True)


def test_broker_killed_before_the_consumer_starts(world: World, show: Callable[..., None]) -> None:
    """A broker that dies when all but the consumer has started ends the start."""
    kafka = world.kafka()
    worker = world.start(world.good(BROKER=kafka.address), late_consumer=True)
    world.wait_until(partial(worker.says, BANNER), SECONDS)
    world.wait_until(lambda: worker.is_starting_its_consumer, SECONDS)
    kafka.kill()
    began = time.monotonic()
    end = worker.end(SECONDS)
    show("broker killed before the consumer starts", end, time.monotonic() - began)
    expect(end, 1, GONE, started=True)


def test_broker_killed_while_joining(world: World, show: Callable[..., None]) -> None:
    """A broker that dies while the worker joins the group ends the start."""
    # The first member waits this long for others: time enough to kill the broker.
    kafka = world.kafka(**{"group.initial.rebalance.delay.ms": "60000"})
    worker = world.start(world.good(BROKER=kafka.address))

    async def is_joining() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
        await admin.start()
        try:
            (found,) = await admin.describe_consumer_groups(["bad_starts"])
        except GroupCoordinatorNotAvailableError:
            return False
        else:
            return "PreparingRebalance" in str(found)
        finally:
            await admin.close()

    world.wait_until(partial(worker.says, BANNER), SECONDS)
    world.wait_until(lambda: asyncio.run(is_joining()), SECONDS)
    kafka.kill()
    began = time.monotonic()
    end = worker.end(SECONDS)
    show("broker killed while joining", end, time.monotonic() - began)
    expect(end, 1, GONE, started=True)
