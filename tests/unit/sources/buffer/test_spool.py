"""Batches on disk come back as they were, in order, through crashes and full disks."""

import errno
import fcntl
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from app.errors import UnavailableError
from app.sources.base import Batch
from app.sources.buffer import locked_dirs, segment, spool
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
    """With lines, times, refused words and headers; while others are written."""
    kept = opened(tmp_path)
    odd = Batch(b"\0\n\xff", 2, 123, None, 4, (("host", b"\xff"), ("host", b"")))
    kept.append([odd, Batch(b"", 0)])
    assert [batch for batch, _ in read_all(kept)] == [odd, Batch(b"", 0)]
    kept.append([of(1)])
    assert texts(kept) == [b"line 1"]
    kept.close()


def test_what_kafka_has_is_gone_and_the_rest_comes_first_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments go when all of them is acknowledged; the place in the first is kept."""
    monkeypatch.setattr(spool, "_SEGMENT_BYTES", 100)
    kept = opened(tmp_path)
    for number in range(20):
        kept.append([of(number)])
    found = read_all(kept)
    kept.release(found[9][1])
    kept.close()
    again = opened(tmp_path)
    assert texts(again) == [b"line %d" % number for number in range(10, 20)]
    again.release(found[19][1])
    again.close()
    assert list(tmp_path.glob("*/*.spill")) == []


def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    """As kill -9 leaves it, or a bad disk: what is whole before it comes."""
    kept = opened(tmp_path)
    for number in range(3):
        kept.append([of(number)])
    kept.close()
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


def test_what_comes_before_all_others_is_read_first(tmp_path: Path) -> None:
    """Lines that waited in memory are older than those on disk."""
    kept = opened(tmp_path)
    kept.append([of(2)])
    kept.prepend([of(0), of(1)])
    kept.append([of(3)])
    kept.close()
    again = opened(tmp_path)
    assert texts(again) == [b"line %d" % number for number in range(4)]
    again.close()


def test_there_is_a_limit(tmp_path: Path) -> None:
    """Past it nothing is taken until there is room again."""
    kept = opened(tmp_path, limit=1000)
    kept.append([Batch(b"x" * 900, 1)])
    with pytest.raises(SpoolFullError, match="1,000 bytes"):
        kept.append([Batch(b"y" * 900, 1)])
    ((_, place),) = read_all(kept)
    kept.release(place)
    kept.append([Batch(b"y" * 900, 1)])
    assert texts(kept) == [b"y" * 900]
    kept.close()


def test_a_full_disk_is_said_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half written is taken back; when there is room again, it goes on."""
    kept = opened(tmp_path)
    kept.append([of(0)])
    write = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:-9], offset)

    monkeypatch.setattr(segment.os, "pwrite", full)
    with pytest.raises(SpoolFullError, match="No space left"):
        kept.append([of(1)])
    monkeypatch.undo()
    kept.append([of(2)])
    assert texts(kept) == [b"line 0", b"line 2"]
    kept.close()


def test_a_process_takes_over_what_a_dead_one_left(tmp_path: Path) -> None:
    """Several write into one directory, each apart; whoever ends leaves its lines to the next."""
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


def test_what_is_no_slot_is_left_alone(tmp_path: Path) -> None:
    """Files and folders of others: none is an obstacle, and none is taken for a dead process's."""
    (tmp_path / "0").touch()
    foreign = tmp_path / "1" / "a.spill", tmp_path / "old" / "b.spill"
    for path in foreign:
        path.parent.mkdir()
        path.touch()
    (tmp_path / "old" / "lock").touch()
    (tmp_path / "notes").touch()
    kept = opened(tmp_path)
    assert kept.path == tmp_path / "2"
    assert texts(kept) == []
    kept.close()
    assert all([*path.parent.glob("*.spill")] == [path] for path in foreign)
    assert not (tmp_path / "1" / "lock").exists()


def test_a_folder_that_another_process_looks_at_is_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look takes a shared lock for a moment; the lines in the folder are not left for that."""
    opened(tmp_path).close()
    with (tmp_path / "0" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        monkeypatch.setattr(locked_dirs.time, "sleep", lambda _: fcntl.flock(lock, fcntl.LOCK_UN))
        kept = opened(tmp_path)
    assert kept.path == tmp_path / "0"
    kept.close()


def test_what_a_killed_process_wrote_is_there(tmp_path: Path) -> None:
    """Nothing waits in the process itself."""
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
    kept = opened(tmp_path)
    assert texts(kept) == [b"line %d" % number for number in range(100)]
    kept.close()


def test_a_directory_that_cant_be_made_is_said(tmp_path: Path) -> None:
    """With the option that names another."""
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="--spill-dir"):
        Spool(tmp_path / "file" / "no", ROOM).open()
