"""`faust -A app produce` with a real Kafka: every line arrives once."""

import gzip
import json
import os
import pty
import signal
import subprocess
import textwrap
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.embedded import EmbeddedKafka
from app.sources.sample import sample_text
from tests.delivered import assign, consume, consumer, count
from tests.producers import Produce, end, unread


async def test_a_file_arrives_word_for_word(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Any bytes arrive: packed, in all partitions, with the time of reading."""
    text = sample_text().encode()
    odd = b"\xff\xfe not UTF-8\nNUL \x00 in it\r\n\n\ttabs\xc2\xa0and\xe3\x80\x80spaces\nend"
    path, packed = tmp_path / "text", tmp_path / "text.gz"
    path.write_bytes(text * 4 + b"\n" + odd)
    packed.write_bytes(gzip.compress(text))
    before = time.time() * 1000
    status, out, err = produce("file", path, packed, "--json")
    assert status == 0, err
    records = await consume(kafka.address, unique)
    figures = json.loads(out)
    print(f"{figures['lines_per_s']:,.0f} lines/s")  # noqa: T201 - shown by pytest -s
    lines = path.read_bytes().count(b"\n") + 1 + text.count(b"\n") + 1
    assert figures["lines"] == lines
    assert figures["messages"] == len(records) < lines / 20
    received = b"\n".join(record.value for record in records)
    assert Counter(received.split(b"\n")) == Counter(
        (path.read_bytes() + b"\n" + text).split(b"\n")
    )
    assert {record.partition for record in records} == {0, 1, 2, 3}
    assert all(before - 1 <= record.timestamp <= time.time() * 1000 for record in records)


async def test_lines_of_a_partition_keep_their_order(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Numbered lines come in rising order within each partition, and each once."""
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(500_000)))
    assert produce("file", path)[1] == "500000 lines acknowledged by Kafka\n"
    numbers: dict[int, list[int]] = {}
    for record in await consume(kafka.address, unique):
        numbers.setdefault(record.partition, []).extend(map(int, record.value.split(b"\n")))
    assert all(found == sorted(found) for found in numbers.values())
    assert sorted(n for found in numbers.values() for n in found) == list(range(500_000))


async def test_a_line_of_100_mb_loses_no_word(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """It comes in several messages, cut between words, and counts as one line."""
    path = tmp_path / "long"
    path.write_bytes(b" ".join(b"word%098d" % (n % 99_991) for n in range(1_000_000)))
    assert path.stat().st_size > 100_000_000
    status, out, err = produce("file", path)
    assert (status, out) == (0, "1 lines acknowledged by Kafka\n"), err
    records = await consume(kafka.address, unique)
    assert max(len(record.value) for record in records) <= 1_000_000
    assert count(*(record.value for record in records)) == count(path.read_bytes())


async def test_a_word_that_fits_no_message_is_reported(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """All other words are delivered, the status is 1, and one line reports the word."""
    path = tmp_path / "word"
    path.write_bytes(b"before " + b"x" * 3_000_000 + b" after\nlast")
    status, out, err = produce("file", path)
    assert (status, out) == (1, "2 lines acknowledged by Kafka\n")
    assert "Error: 1 words are longer than a message may be and were skipped" in err
    records = await consume(kafka.address, unique)
    assert count(*(r.value for r in records)) == Counter([b"before", b"after", b"last"])


async def test_slow_lines_go_at_once_and_one_by_one(
    produce: Produce, kafka: EmbeddedKafka, unique: str
) -> None:
    """A lone line is in Kafka soon, while its source stays open."""
    process = produce.start("stdin", stdin=subprocess.PIPE)
    async with consumer(kafka.address) as client:
        assert process.stdin is not None
        process.stdin.write(b"first\n")
        process.stdin.flush()
        await assign(client, unique)
        assert (await client.getone()).value == b"first"
        waits = []
        for line in (b"second", b"third", b"fourth"):
            started = time.monotonic()
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            assert (await client.getone()).value == line
            waits.append(time.monotonic() - started)
    assert min(waits) < 0.2
    assert end(process)[:2] == (0, "4 lines acknowledged by Kafka\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_delivers_what_was_taken_in(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    number: signal.Signals,
    wait_until: Callable[..., Any],
) -> None:
    """Every line that was read from the pipe is in Kafka when the command ends, with status 0."""
    text = b"".join(b"line %d\n" % n for n in range(200_000)) + b"begun"
    process = produce.start("stdin", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()
    wait_until(lambda: unread(process.stdin) == 0)
    process.send_signal(number)
    status, out, err = end(process)
    assert (status, out) == (0, "200001 lines acknowledged by Kafka\n"), err
    assert "Stopping" in err
    records = await consume(kafka.address, unique)
    assert count(*(r.value for r in records)) == count(text)


async def test_the_sample_keeps_its_rate_until_ctrl_c(
    produce: Produce, kafka: EmbeddedKafka, unique: str
) -> None:
    """Lines come at the given rate; the last line of output has the number acknowledged."""
    process = produce.start("sample", "--rate", "2000")
    async with consumer(kafka.address) as client:
        await assign(client, unique)
        lines, began = 0, 0.0
        while lines < 4000:
            for found in (await client.getmany(timeout_ms=500)).values():
                began = began or time.monotonic()
                lines += sum(record.value.count(b"\n") + 1 for record in found)
        seconds = time.monotonic() - began
    process.send_signal(signal.SIGINT)
    status, out, err = end(process)
    assert status == 0, err
    assert 1.5 < seconds < 4
    records = await consume(kafka.address, unique)
    lines = sum(record.value.count(b"\n") + 1 for record in records)
    assert out == f"{lines} lines acknowledged by Kafka\n"


async def test_options_of_time_and_packing(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """An event time is the time of every line; unpacked lines are a message each."""
    path = tmp_path / "file"
    path.write_bytes(b"a\nb\n\nc")
    arguments = ("--unpacked", "--event-time", "2025-03-01T12:00:00+01:00")
    assert produce("file", path, *arguments)[0] == 0
    records = await consume(kafka.address, unique)
    assert sorted(record.value for record in records) == [b"", b"a", b"b", b"c"]
    assert {record.timestamp for record in records} == {1_740_826_800_000}


TIMES = textwrap.dedent("""
    import time
    from app.sources.base import Batch, Position, Source

    class Times(Source):
        "Three lines, the second of them two minutes ahead."

        async def batches(self):
            now_ms = time.time_ns() // 1_000_000
            for number, ahead in enumerate((-1000, 120_000, 0)):
                position = Position("times", {"number": number})
                yield Batch.of([f"{ahead}"], timestamp_ms=now_ms + ahead, position=position)

    class ExactTimes(Times):
        name = "times"
""")


@pytest.mark.parametrize("source", ["Times", "ExactTimes"])
async def test_a_time_that_kafka_refuses_stops_no_stream(
    produce: Produce,
    kafka: EmbeddedKafka,
    unique: str,
    tmp_path: Path,
    create_topic: Callable[..., Awaitable[str]],
    source: str,
) -> None:
    """Such a line gets the present time, and is counted and reported; others keep their times."""
    (tmp_path / "own_times.py").write_text(TIMES)
    produce.environ["PYTHONPATH"] += f":{tmp_path}"
    await create_topic(unique, 1, **{"message.timestamp.after.max.ms": "60000"})
    started = time.time() * 1000
    status, out, err = produce("custom", f"own_times:{source}", "--json")
    figures = json.loads(out)
    assert (status, figures["lines"], figures["redated_lines"]) == (0, 3, 1), err
    assert "takes none more than 60 s ahead of the clock" in err
    times = {r.value: r.timestamp - started for r in await consume(kafka.address, unique)}
    assert times.keys() == {b"-1000", b"120000", b"0"}
    assert times[b"120000"] < 100_000
    assert times[b"0"] - times[b"-1000"] == 1000


def test_an_event_time_that_kafka_refuses_is_a_wrong_argument(
    produce: Produce, tmp_path: Path
) -> None:
    """It applies to every line, so nothing is sent, and the remedy is printed."""
    path = tmp_path / "file"
    path.write_bytes(b"a")
    status, out, err = produce("file", path, "--event-time", "2099-01-01")
    assert (status, out) == (2, "")
    assert err.startswith("Error: --event-time 2099-01-01T00:00:00Z: topic ")
    assert "takes none more than 3,600 s ahead of the clock" in err


async def test_a_followed_file_is_delivered_as_it_grows(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Lines written after the start arrive, until Ctrl-C."""
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    process = produce.start("file", path, "--follow")
    async with consumer(kafka.address) as client:
        await assign(client, unique)
        assert (await client.getone()).value == b"1"
        with path.open("ab") as file:
            file.write(b"2\n")
        assert (await client.getone()).value == b"2"
    process.send_signal(signal.SIGINT)
    assert end(process)[:2] == (0, "2 lines acknowledged by Kafka\n")


async def test_a_terminal_shows_progress(produce: Produce, tmp_path: Path) -> None:
    """A terminal shows lines and lines a second, and stdout stays clean."""
    path = tmp_path / "file"
    path.write_bytes(b"a b c\n" * 1000)
    master, terminal = pty.openpty()
    process = produce.start("file", path, stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(master, 10_000)
        except OSError:  # raised at the end of a terminal
            break
    os.close(master)
    assert end(process)[:2] == (0, "1000 lines acknowledged by Kafka\n")
    assert b"lines/s" in shown
    assert b"100 %" in shown


async def test_a_wrong_topic_or_setting_ends_with_one_line_and_status_2(produce: Produce) -> None:
    """An error of Kafka is reported as plainly as one of the settings."""
    status, out, err = produce("sample", "--topic", "a b")
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("Error: topic a b can't be created: Topic name is invalid")
    produce.environ["WORDCOUNT_PARTITIONS"] = "none"
    status, _, err = produce("sample")
    assert (status, err) == (2, "Error: WORDCOUNT_PARTITIONS=none: is not a whole number\n")


async def test_a_topic_that_takes_only_small_batches_is_respected(
    produce: Produce, kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    """Messages and batches stay below the topic's own max.message.bytes."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    await admin.create_topics([NewTopic(unique, 2, 1, topic_configs={"max.message.bytes": "2000"})])
    await admin.close()
    path = tmp_path / "file"
    path.write_bytes(os.urandom(150_000).hex(" ").encode() + b"\nlast")
    status, _, err = produce("file", path)
    assert status == 0, err
    records = await consume(kafka.address, unique)
    assert count(*(r.value for r in records)) == count(path.read_bytes())
