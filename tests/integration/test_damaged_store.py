"""A worker whose local rows have gone bad on disk in a way that opening them does not show."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from rocksdict import Options, Rdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cassandra.cluster import Session

START = 1_700_000_040_000 // 60_000 * 60_000
LINES = [(f"word{number} is a word of line{number}", START) for number in range(20_000)]


def damage(path: Path) -> None:
    """Overwrite bytes in the middle of the largest file of a database."""
    database = Rdict(str(path), options=Options(raw_mode=True))
    database.flush()
    database.close()
    largest = max(path.glob("*.sst"), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        file.write(b"\xde\xad\xbe\xef" * 8)


async def test_a_damaged_store_stops_a_worker_once_and_is_recovered(
    stream: Any, worker: Any, session: Session, wait_until: Callable[..., Any]
) -> None:
    """One line names the directory; the next start recovers it, and every count is right."""

    def saved(times: int) -> bool:
        found = dict(session.execute(f"SELECT word, count FROM {stream.name}.words").all())
        return found == {word: times * count for word, count in counts.items()}

    def restart(number: int, *, ready: bool) -> Any:
        # A worker of a stream has a data directory of its own: copy that of the last one into it.
        data = first.data.with_name(f"data-{number}")
        shutil.copytree(first.data.with_name(f"data-{number - 1}"), data)
        if not ready:
            [path] = data.rglob("*.rocksdb")
            damage(path)
        return stream.start(ready=ready)

    counts = Counter(word for line, _ in LINES for word in line.split())
    first = worker(partitions="1", print="0")
    await stream.produce(LINES)
    wait_until(lambda: saved(1))
    assert first.stop() == 0
    second = restart(1, ready=False)
    await stream.produce(LINES)
    assert second.wait_for_end() == 1
    output = second.output
    assert "Traceback" not in output
    last = output.splitlines()[-1]
    assert "word_counts-0.rocksdb is damaged (Corruption: " in last
    assert last.startswith("Error: ")
    assert last.endswith("; the next start throws it away and recovers it from the changelog")
    third = restart(2, ready=True)
    wait_until(lambda: saved(2))
    assert "is damaged (Corruption: " in third.output
    assert third.stop() == 0
