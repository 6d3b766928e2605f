"""The whole job on real servers: lines in Kafka, windowed counts, rows in Cassandra."""

from __future__ import annotations

import random
import time
from collections import Counter
from pydoc_data.topics import topics
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cassandra.cluster import Session

MINUTE = 60_000
START = 1_700_000_040_000 // MINUTE * MINUTE
"""A minute of event time, ms."""

SCRIPTS = [
    "abcdefghijklmnopqrstuvwxyz",
    "àéîõüßçñøåæœ",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधन",
    "一丁七万丈三上下不与世丘丙业东丝両並中",
    "ひらがなカタカナ",
    "🙂🚀👩‍🔬🇪🇺❤️",
]
SPACES = [" ", "  ", "\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\x1f"]


def rows_of(session: Session, keyspace: str) -> dict[tuple[str, int], int]:
    """Every (word, window start in ms) → count in the default table."""
    statement = (
        f"SELECT word, blobAsBigint(timestampAsBlob(window_start)), count FROM {keyspace}.words"
    )
    return {(row[0], row[1]): row[2] for row in session.execute(statement)}


def expected(lines: list[tuple[str, int]], window: int = MINUTE) -> dict[tuple[str, int], int]:
    """Count (line, timestamp) pairs independently of the application."""
    counts: Counter[tuple[str, int]] = Counter()
    for line, timestamp in lines:
        counts.update((word, timestamp // window * window) for word in line.split())
    return dict(counts)


def unicode_text(path: Path, size: int, seed: int) -> None:
    """Write `size` bytes of lines: documentation, and words of many scripts between odd spaces."""
    choose = random.Random(seed)
    plain = [line for text in topics.values() for line in text.splitlines()]
    words = [
        "".join(choose.choices(choose.choice(SCRIPTS), k=choose.randint(1, 9)))
        for _ in range(20_000)
    ]
    block = []
    for _ in range(5_000):
        some = choose.choices(words, k=choose.randint(0, 14))
        block.append("".join(word + choose.choice(SPACES) for word in some))
        block.extend(choose.choices(plain, k=3))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        written = 0
        while written < size:
            choose.shuffle(block)
            text = "\n".join(block) + "\n"
            file.write(text)
            written += len(text.encode())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_of_50_mb_is_counted_word_for_word(
    workers: int,
    stream: Any,
    session: Session,
    tmp_path: Path,
    wait_until: Callable[..., Any],
) -> None:
    """The rows for a large text with real Unicode equal collections.Counter over its lines."""
    path = tmp_path / "text.txt"
    unicode_text(path, 50_000_000, seed=workers)
    for _ in range(workers):
        stream.start()
    began = time.time_ns() // 1_000_000
    produced = stream.run("produce", "file", str(path))
    assert produced.returncode == 0, produced.stderr
    counts: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            counts.update(line.split())
    total = sum(counts.values())
    wait_until(lambda: sum(rows_of(session, stream.name).values()) >= total, 120)
    found: Counter[str] = Counter()
    for (word, start), count in rows_of(session, stream.name).items():
        assert began - MINUTE <= start <= time.time_ns() // 1_000_000
        found[word] += count
    assert found == counts
    assert [worker.stop() for worker in stream.workers] == [0] * workers


async def test_lines_count_in_the_window_of_their_timestamp(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """A line out of order within the grace counts in the window of its timestamp."""
    worker()
    choose = random.Random(4)
    lines = [
        (f"w{choose.randint(0, 50)} äö {number % 7}", START + choose.randint(0, 2 * MINUTE - 1))
        for number in range(3000)
    ]
    await stream.produce(lines)
    wait_until(lambda: rows_of(session, stream.name) == expected(lines))


async def test_windows_that_hop_count_a_line_in_each(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """With a step of a third of the window, each line counts in three windows."""
    worker(window="300ms", step="100ms", grace="1h")
    lines = [(f"a b{number % 5}", START + 13 * number) for number in range(200)]
    await stream.produce(lines)
    counts: Counter[tuple[str, int]] = Counter()
    for line, timestamp in lines:
        newest = timestamp // 100 * 100
        counts.update((w, newest - back) for w in line.split() for back in (0, 100, 200))
    wait_until(lambda: rows_of(session, stream.name) == dict(counts))


async def test_running_totals_go_to_a_table_of_two_columns(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """WORDCOUNT_WINDOW=none works with the table words (word text PRIMARY KEY, count int)."""
    session.execute(
        f"CREATE KEYSPACE {stream.name} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    session.execute(f"CREATE TABLE {stream.name}.words (word text PRIMARY KEY, count int)")
    worker(window="none", columns="word,count")
    lines = [(f"x y{number % 3}", START + number * MINUTE) for number in range(300)]
    await stream.produce(lines)
    counts = Counter(word for line, _ in lines for word in line.split())

    def found() -> dict[str, int]:
        return dict(tuple(row) for row in session.execute(f"SELECT * FROM {stream.name}.words"))

    wait_until(lambda: found() == dict(counts))


async def test_late_lines_go_unchanged_to_their_topic(
    stream: Any, worker: Any, session: Session, kafka: Any, wait_until: Callable[..., Any]
) -> None:
    """A line whose window and grace have passed goes unchanged to the topic of late lines."""
    running = worker(partitions="1", grace="10s")
    in_time = [("one two", START), ("two", START + 2 * MINUTE)]
    late = [("too late", START + 5)]
    await stream.produce(in_time + late)
    wait_until(lambda: rows_of(session, stream.name) == expected(in_time))
    [record] = await read(kafka.address, f"{stream.name}-late", 1)
    assert (record.value, record.timestamp) == (b"too late", START + 5)
    _, metrics = running.get("/metrics")
    assert "wordcount_late_messages_total 1.0" in metrics


async def test_messages_that_are_not_utf8_are_kept_apart(
    stream: Any, worker: Any, session: Session, kafka: Any, wait_until: Callable[..., Any]
) -> None:
    """A message that is not UTF-8 goes to its topic with the reason; its neighbours count."""
    worker(partitions="1")
    good = [("fine words", START), ("more fine words", START + 1)]
    values = [good[0][0].encode(), b"bad \xff byte", good[1][0].encode()]
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
        for value, timestamp in zip(values, [START, START, START + 1], strict=True):
            await producer.send_and_wait(stream.lines, value, timestamp_ms=timestamp)
    wait_until(lambda: rows_of(session, stream.name) == expected(good))
    [record] = await read(kafka.address, f"{stream.name}-rejected", 1)
    assert record.value == b"bad \xff byte"
    assert dict(record.headers)["reason"] == b"byte 0xff at 4: invalid start byte"


async def test_expired_windows_leave_the_table_but_not_cassandra(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """A window past its retention leaves the table, and recovery does not restore it."""
    running = worker(partitions="2", window="1s", grace="1s", retention="2s")
    old = [(f"old words {number}", START + number % 2) for number in range(100)]
    await stream.produce(old)
    wait_until(lambda: rows_of(session, stream.name) == expected(old, 1000))
    new = [("new", START + MINUTE), ("new", START + MINUTE)]
    await stream.produce(new)

    def windows(one: Any) -> list[int] | None:
        answer = one.json("/api/windows")
        return answer and [window["words"] for window in answer["windows"]]

    wait_until(lambda: windows(running) == [2])
    assert running.stop() == 0
    again = stream.start()
    wait_until(lambda: windows(again) == [2])
    assert rows_of(session, stream.name) == expected(old + new, 1000)


async def test_odd_text_is_counted_unchanged(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """Odd text is counted exactly: NULs, empty lines, script tags, lone spaces, a word of 60 kB."""
    worker()
    lines = [
        ("", START),
        (" \u3000 ", START),
        ("nul\x00inside \x00", START),
        ("<script>alert(1)</script> 'quoted' \"double\"", START),
        ("x" * 60_000, START),
        ("several\nlines in\n\none message\n", START),
        ("e\u0301 é", START),
    ]
    await stream.produce(lines)
    wait_until(lambda: rows_of(session, stream.name) == expected(lines))


async def test_a_word_too_long_for_cassandra_stops_nothing(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """A word over the 65,535 bytes of a key is logged; every other word is saved."""
    running = worker()
    lines = [("before", START), ("y" * 70_000 + " beside", START), ("after", START + 1)]
    await stream.produce(lines)
    wanted = {key: n for key, n in expected(lines).items() if len(key[0]) < 65_536}
    wait_until(lambda: rows_of(session, stream.name) == wanted)
    message = f"a row for {stream.name}.words can't be written: word 'yyyy"
    wait_until(lambda: message in running.output)
    assert "wordcount_rows_refused_total 1.0" in running.get("/metrics")[1]
    assert running.stop() == 0


async def read(broker: str, topic: str, records: int) -> list[Any]:
    """Return the first records of a topic, read committed."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(records)]
    finally:
        await consumer.stop()
