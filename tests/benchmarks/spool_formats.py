"""The spool's segment files beside SQLite: megabytes a second that are written and read back.

`python -m tests.benchmarks.spool_formats [--rounds N] [--folder DIR]` prints a table of medians
and ranges for each format and size of batch. The formats alternate within a round. Every format
commits each batch before the next one, so that the batch survives kill -9, and checks its sum when
it is read back. Batches that were read are released every 4 MiB, as Kafka acknowledges them.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import time
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.sources.base import Batch
from app.sources.buffer.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {256 << 10: 1000, 32 << 10: 4000, 2 << 10: 5000}
"""Number of batches for each size in bytes."""

_RELEASE_BYTES = 4 << 20
_SEGMENT_BYTES = 16 << 20
_COLUMNS = "crc, lines, refused, timestamp_ms, headers, partition_key, text"


class Format(Protocol):
    """One way to keep batches on disk."""

    def append(self, batch: Batch) -> None:
        """Write a batch and commit it."""

    def read(self) -> Batch | None:
        """The next batch; None behind the last one."""

    def release(self) -> None:
        """Give back the space of the batches that were read."""


class Segments:
    """The spool of the application."""

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder / "spool", 1 << 40)
        self._spool.open()

    def append(self, batch: Batch) -> None:
        """Write a batch and commit it."""
        self._spool.append([batch])

    def read(self) -> Batch | None:
        """The next batch; None behind the last one."""
        found = self._spool.read()
        if found is None:
            return None
        batch, self._place = found
        return batch

    def release(self) -> None:
        """Give back the space of the batches that were read."""
        self._spool.release(self._place)


class Database:
    """One SQLite database; rows are deleted once they are released."""

    def __init__(self, path: Path, pragmas: str, page_bytes: int) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(
            f"PRAGMA page_size={page_bytes}; PRAGMA auto_vacuum=incremental; {pragmas};"
            f"CREATE TABLE batches (number INTEGER PRIMARY KEY, {_COLUMNS});"
        )
        self._number = 0

    def append(self, batch: Batch) -> None:
        """Write a batch and commit it."""
        self._connection.execute(
            f"INSERT INTO batches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                zlib.crc32(batch.text),
                batch.lines,
                batch.refused,
                batch.timestamp_ms,
                None,
                None,
                batch.text,
            ),
        )

    def read(self) -> Batch | None:
        """The next batch; None behind the last one."""
        row = self._connection.execute(
            f"SELECT number, {_COLUMNS} FROM batches WHERE number > ? ORDER BY number LIMIT 1",
            (self._number,),
        ).fetchone()
        if row is None:
            return None
        self._number, crc, lines, refused, timestamp_ms, _, _, text = row
        assert zlib.crc32(text) == crc
        return Batch(text, lines, timestamp_ms, refused=refused)

    def release(self) -> None:
        """Give back the space of the batches that were read."""
        self._connection.execute("DELETE FROM batches WHERE number <= ?", (self._number,))
        self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Databases:
    """A SQLite database for each 16 MiB, removed as a whole."""

    def __init__(self, folder: Path, pragmas: str, page_bytes: int) -> None:
        self._make: Callable[[Path], Database] = lambda path: Database(path, pragmas, page_bytes)
        self._folder = folder
        self._all: list[tuple[Path, Database]] = []
        self._bytes = _SEGMENT_BYTES
        self._reading = self._removed = 0

    def append(self, batch: Batch) -> None:
        """Write a batch and commit it."""
        if self._bytes >= _SEGMENT_BYTES:
            path = self._folder / f"{len(self._all)}.db"
            self._all.append((path, self._make(path)))
            self._bytes = 0
        self._all[-1][1].append(batch)
        self._bytes += len(batch.text)

    def read(self) -> Batch | None:
        """The next batch; None behind the last one."""
        while self._reading < len(self._all):
            found = self._all[self._reading][1].read()
            if found is not None:
                return found
            self._reading += 1
        return None

    def release(self) -> None:
        """Give back the space of the batches that were read."""
        for path, database in self._all[self._removed : self._reading]:
            database.close()
            path.unlink()
        self._removed = self._reading


_WAL = "PRAGMA journal_mode=wal; PRAGMA synchronous=normal; PRAGMA journal_size_limit=8388608"
_JOURNAL = "PRAGMA journal_mode=truncate; PRAGMA synchronous=normal"

FORMATS: dict[str, Callable[[Path], Format]] = {
    "segments": Segments,
    "SQLite, WAL, pages of 4 KiB": lambda folder: Database(folder / "db", _WAL, 4096),
    "SQLite, WAL, pages of 16 KiB": lambda folder: Database(folder / "db", _WAL, 16384),
    "SQLite, WAL, pages of 64 KiB": lambda folder: Database(folder / "db", _WAL, 65536),
    "SQLite, WAL, a database per 16 MiB": lambda folder: Databases(folder, _WAL, 16384),
    "SQLite, rollback journal": lambda folder: Database(folder / "db", _JOURNAL, 16384),
}


class Speed(NamedTuple):
    """Megabytes a second."""

    written: float
    read: float


def measure(make: Callable[[Path], Format], size: int, number: int, above: Path) -> Speed:
    """Write all batches, then read and release them."""
    batch = Batch(os.urandom(size), 1, 1_700_000_000_000)
    with TemporaryDirectory(dir=above) as folder:
        made = make(Path(folder))
        started = time.monotonic()
        for _ in range(number):
            made.append(batch)
        written = time.monotonic()
        found = unreleased = 0
        while (read := made.read()) is not None:
            found += 1
            unreleased += len(read.text)
            if unreleased > _RELEASE_BYTES:
                made.release()
                unreleased = 0
        made.release()
        ended = time.monotonic()
    assert found == number
    megabytes = number * size / 1e6
    return Speed(megabytes / (written - started), megabytes / (ended - written))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    for size, number in SIZES.items():
        speeds: dict[str, list[Speed]] = {name: [] for name in FORMATS}
        for _ in range(arguments.rounds):
            for name, make in FORMATS.items():
                speeds[name].append(measure(make, size, number, arguments.folder))
        print(f"batches of {size:,} bytes, MB/s (median, range)")  # noqa: T201
        for name, found in speeds.items():
            columns = [_column([speed[way] for speed in found]) for way in range(2)]
            print(f"  {name:<36} written {columns[0]}  read {columns[1]}", flush=True)  # noqa: T201


def _column(values: list[float]) -> str:
    return f"{statistics.median(values):>5.0f} ({min(values):>4.0f} to {max(values):>4.0f})"


if __name__ == "__main__":
    main()
