"""A producer outlives its Kafka: an outage costs time, not lines."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.embedded import EmbeddedKafka

FAUST = str(Path(sys.executable).with_name("faust"))
PARTITIONS = [TopicPartition("lines", number) for number in range(4)]


@pytest.fixture
def broker() -> Iterator[EmbeddedKafka]:
    """A Kafka that the test may kill."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture
def start(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts `faust -A app produce`; its stderr goes to a file that can be watched."""
    processes = []

    def start(*arguments: str | Path, address: str = broker.address) -> subprocess.Popen[bytes]:
        with (tmp_path / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [FAUST, "-A", "app", "produce", *map(str, arguments)],
                env={
                    **os.environ,
                    "WORDCOUNT_BROKER": f"kafka://{address}",
                    "XDG_STATE_HOME": str(tmp_path),  # no lines of an earlier run
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def said(tmp_path: Path) -> Callable[[], str]:
    """Reads the producer's stderr so far."""
    return (tmp_path / "stderr").read_text


async def delivered(broker: EmbeddedKafka) -> list[bytes]:
    """Every message of the topic."""
    client = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    await client.start()
    try:
        client.assign(PARTITIONS)
        ends = await client.end_offsets(PARTITIONS)
        values = []
        while any([await client.position(p) < end for p, end in ends.items()]):
            for records in (await client.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
        return values
    finally:
        await client.stop()


@pytest.mark.parametrize("outage", ["crash", "restart", "silence"])
async def test_no_line_is_lost_or_doubled_when_kafka_goes_away(
    broker: EmbeddedKafka,
    start: Callable[..., Any],
    said: Callable[[], str],
    wait_until: Callable[..., Any],
    tmp_path: Path,
    outage: str,
) -> None:
    """Lines wait until Kafka is back; then each is there once, and the status is 0."""
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(b"number %d\n" % n for n in range(800_000)))
    process = start("file", path, "--rate", "50000")
    wait_until(lambda: "lines acknowledged, " in said())
    if outage == "crash":
        broker.kill()
    elif outage == "restart":
        broker.stop()
    else:
        broker.pause()
    wait_until(lambda: "Kafka has acknowledged nothing for" in said())
    if outage == "silence":
        broker.resume()
    else:
        broker.start()
    out, _ = process.communicate(timeout=90)
    assert (process.returncode, out) == (0, b"800000 lines acknowledged by Kafka\n")
    assert "Kafka answers again" in said()
    lines = b"\n".join(await delivered(broker)).split(b"\n")
    assert Counter(lines) == Counter(path.read_bytes().splitlines())


async def test_a_second_ctrl_c_ends_and_reports_the_lines_that_were_not_delivered(
    broker: EmbeddedKafka,
    start: Callable[..., Any],
    said: Callable[[], str],
    wait_until: Callable[..., Any],
) -> None:
    """With Kafka away, the first Ctrl-C waits and the second ends with status 1, without noise."""
    process = start("stdin")
    process.stdin.write(b"1\n2\n")
    process.stdin.flush()

    async def arrived() -> None:
        while b"2" not in b" ".join(await delivered(broker)).split():
            pass

    wait_until(lambda: _has_topic(broker))
    await asyncio.wait_for(arrived(), 120)
    broker.kill()
    process.stdin.write(b"3\n" * 100_000)
    process.stdin.flush()
    wait_until(lambda: "Kafka has acknowledged nothing for" in said())
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "Stopping: 100000 lines wait" in said())
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, b"2 lines acknowledged by Kafka\n")
    *_, figures, last = said().splitlines()
    assert figures.startswith("in ")
    assert last == "Error: gave up; 100000 lines were not acknowledged"
    assert "Traceback" not in said()
    assert "exception" not in said()
    assert "nclosed" not in said()


def _has_topic(broker: EmbeddedKafka) -> bool:
    return any((broker.data / "data").glob("lines-*"))


async def test_without_a_broker_there_is_one_line_within_30_s(
    broker: EmbeddedKafka, start: Callable[..., Any], said: Callable[[], str]
) -> None:
    """A broker that is missing, and one that accepts and never answers, end with status 1."""
    for prepare, address in ((broker.resume, "127.0.0.1:1"), (broker.pause, broker.address)):
        prepare()
        started = time.monotonic()
        process = start("sample", address=address)
        out, _ = process.communicate(timeout=120)
        assert time.monotonic() - started < 30
        assert (process.returncode, out) == (1, b"")
        assert re.fullmatch(
            rf"Error: no Kafka broker at {address} \(\w+\); start one, or set WORDCOUNT_BROKER\n",
            said(),
        )
    broker.resume()
