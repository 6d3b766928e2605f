"""Batches on disk come back as they were, in order, through crashes and full disks."""

import errno
import fcntl
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from app.errors import UnavailableError
from app.sources.base import Batch
from app.sources.buffer import spool
from app.sources.buffer.spool import Place, Spool, SpoolFullError

ROOM = 1 << 30


def opened(path: Path, limit: int = ROOM) -> Spool:
    made = Spool(path, limit)
    made.open()
    return made


def read_all(reading: Spool) -> list[tuple[Batch, Place]]:
    found = []
    while (record := reading.read()) is not None:
        found.append(record)
    return found


def texts(reading: Spool) -> list[bytes]:
    return [batch.text for batch, _ in read_all(reading)]


def of(number: int) -> Batch:
    return Batch.of([b"line %d" % number])


def test_batches_come_back_whole_and_in_order(tmp_path: Path) -> None:
    """With lines, times, refused words and headers, even while others are written."""
    spooled = opened(tmp_path)
    odd = Batch(b"\0\n\xff", 2, 123, None, 4, (("host", b"\xff"), ("host", b"")))
    spooled.append([odd, Batch(b"", 0)])
    assert [batch for batch, _ in read_all(spooled)] == [odd, Batch(b"", 0)]
    spooled.append([of(1)])
    assert texts(spooled) == [b"line 1"]
    spooled.close()


def test_acknowledged_batches_are_removed_and_the_rest_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments go when all of them is acknowledged; the place in the first is spooled."""
    monkeypatch.setattr(spool, "_SEGMENT_BYTES", 100)
    spooled = opened(tmp_path)
    for number in range(20):
        spooled.append([of(number)])
    found = read_all(spooled)
    spooled.release(found[9][1])
    spooled.close()
    again = opened(tmp_path)
    assert texts(again) == [b"line %d" % number for number in range(10, 20)]
    again.release(found[19][1])
    again.close()
    assert list(tmp_path.glob("*/*.spill")) == []


def test_a_torn_end_is_skipped(tmp_path: Path) -> None:
    """After kill -9 or on a bad disk the whole records before it are read."""
    spooled = opened(tmp_path)
    for number in range(3):
        spooled.append([of(number)])
    spooled.close()
    (path,) = tmp_path.glob("*/*.spill")
    whole = path.read_bytes()
    for cut in range(1, len(whole) // 3):
        path.write_bytes(whole[:-cut])
        again = opened(tmp_path)
        assert texts(again) == [b"line 0", b"line 1"]
        assert again.torn == len(whole) // 3 - cut
        again.close()
    path.write_bytes(whole[:-1] + b"\0")
    again = opened(tmp_path)
    assert texts(again) == [b"line 0", b"line 1"]
    again.close()


def test_prepended_batches_are_read_first(tmp_path: Path) -> None:
    """Lines that waited in memory are older than those on disk."""
    spooled = opened(tmp_path)
    spooled.append([of(2)])
    spooled.prepend([of(0), of(1)])
    spooled.append([of(3)])
    spooled.close()
    again = opened(tmp_path)
    assert texts(again) == [b"line %d" % number for number in range(4)]
    again.close()


def test_there_is_a_limit(tmp_path: Path) -> None:
    """Beyond it batches are refused until there is space again."""
    spooled = opened(tmp_path, limit=1000)
    spooled.append([Batch(b"x" * 900, 1)])
    with pytest.raises(SpoolFullError, match="1,000 bytes"):
        spooled.append([Batch(b"y" * 900, 1)])
    ((_, place),) = read_all(spooled)
    spooled.release(place)
    spooled.append([Batch(b"y" * 900, 1)])
    assert texts(spooled) == [b"y" * 900]
    spooled.close()


def test_a_full_disk_is_an_error_that_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-written record is removed; once there is space, writing continues."""
    spooled = opened(tmp_path)
    spooled.append([of(0)])
    write = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:-9], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SpoolFullError, match="No space left"):
        spooled.append([of(1)])
    monkeypatch.undo()
    spooled.append([of(2)])
    assert texts(spooled) == [b"line 0", b"line 2"]
    spooled.close()


def test_a_process_takes_over_what_a_dead_one_left(tmp_path: Path) -> None:
    """Several processes write into one directory; the lines of one that ended go to the next."""
    first, second = opened(tmp_path), opened(tmp_path)
    assert first.path != second.path
    assert first.name != second.name
    second.append([of(1), of(2)])
    second.release(read_all(second)[0][1])
    first.append([of(3)])
    second.close()
    first.close()
    third = opened(tmp_path)
    assert texts(third) == [b"line 2", b"line 3"]
    third.close()


def test_other_files_are_ignored(tmp_path: Path) -> None:
    """Files and folders of others: none is an obstacle, and none is taken for a dead process's."""
    (tmp_path / "0").touch()
    foreign = tmp_path / "1" / "a.spill", tmp_path / "old" / "b.spill"
    for path in foreign:
        path.parent.mkdir()
        path.touch()
    (tmp_path / "old" / "lock").touch()
    (tmp_path / "notes").touch()
    spooled = opened(tmp_path)
    assert spooled.path == tmp_path / "2"
    assert texts(spooled) == []
    spooled.close()
    assert all([*path.parent.glob("*.spill")] == [path] for path in foreign)
    assert not (tmp_path / "1" / "lock").exists()


def test_a_folder_that_another_process_looks_at_is_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes a shared lock for a moment; the lines in the folder are not left for that."""
    opened(tmp_path).close()
    with (tmp_path / "0" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(lock, fcntl.LOCK_UN))
        spooled = opened(tmp_path)
    assert spooled.path == tmp_path / "0"
    spooled.close()


def test_the_batches_of_a_killed_process_are_there(tmp_path: Path) -> None:
    """No batch waits in the memory of the process."""
    script = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from app.sources.base import Batch
        from app.sources.buffer.spool import Spool
        spool = Spool(Path({str(tmp_path)!r}), 1 << 30)
        spool.open()
        for number in range(100):
            spool.append([Batch.of([b"line %d" % number])])
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    spooled = opened(tmp_path)
    assert texts(spooled) == [b"line %d" % number for number in range(100)]
    spooled.close()


def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """The message names the option for another directory."""
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="--spill-dir"):
        Spool(tmp_path / "file" / "no", ROOM).open()
