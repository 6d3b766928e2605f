"""A directory source reads each file once, as it appears."""

import gzip
import os
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.sources.base import Position
from app.sources.files import text_file
from app.sources.files.directory import DirectorySource
from tests.collecting import Collected, collecting


def move_in(folder: Path, name: str, data: bytes) -> None:
    hidden = folder / f".{name}.new"
    hidden.write_bytes(data)
    os.utime(hidden, (1_700_000_000, 1_700_000_000))  # long ago: the file counts as complete
    hidden.rename(folder / name)


class CountingSource(DirectorySource):
    """Counts its polls of the directory."""

    polls = 0

    async def pause(self, seconds: float) -> bool:
        """Count a poll and wait for the next."""
        self.polls += 1
        return await super().pause(seconds)


def positions(collected: Collected) -> dict[str, object]:
    """The positions that Kafka would hold."""
    found = {}
    for batch in collected.batches:
        if isinstance(batch.position, Position):
            found[batch.position.key] = batch.position.value
    return {key: value for key, value in found.items() if value is not None}


async def test_files_come_once_and_temporary_ones_never(tmp_path: Path) -> None:
    """Present files are read first, then new ones; hidden, temporary and nested ones never."""
    move_in(tmp_path, "a", b"1\n2")
    for name in (".hidden", "x.tmp", "y.part", "z~", "w._COPYING_"):
        (tmp_path / name).write_bytes(b"not yet\n")
    (tmp_path / "folder").mkdir()
    async with collecting(DirectorySource(tmp_path)) as collected:
        await collected.expect(b"1", b"2")
        move_in(tmp_path, "b.gz", gzip.compress(b"3\n"))
        await collected.expect(b"1", b"2", b"3")
        (tmp_path / "x.tmp").rename(tmp_path / "x")
        await collected.expect(b"1", b"2", b"3", b"not yet")


async def test_a_line_that_is_being_written_is_read_once_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file copied into the directory has no line cut in two; its last line counts at its end."""
    monkeypatch.setattr(text_file, "SETTLED_SECONDS", 60)
    path = tmp_path / "copied"
    path.write_bytes(b"one\ntw")
    source = CountingSource(tmp_path)
    async with collecting(source) as collected:
        await collected.until(lambda: source.polls > 2)
        assert collected.lines == [b"one"]
        with path.open("ab") as file:
            file.write(b"o\nthree")
        await collected.until(lambda: b"two" in collected.lines)
    async with collecting(CountingSource(tmp_path), positions(collected)) as later:
        os.utime(path, (1_700_000_000, 1_700_000_000))
        await later.expect(b"three")


async def test_a_later_run_sends_what_is_new(tmp_path: Path) -> None:
    """Grown files are read on, replaced files from the start; deleted files lose their position."""
    move_in(tmp_path, "same", b"1\n")
    move_in(tmp_path, "grown", b"2\n")
    move_in(tmp_path, "replaced", b"3\n")
    move_in(tmp_path, "gone", b"4\n")
    async with collecting(DirectorySource(tmp_path)) as first:
        await first.expect(b"1", b"2", b"3", b"4")
    with (tmp_path / "grown").open("ab") as file:
        file.write(b"more\n")
    move_in(tmp_path, "replaced", b"other\n")
    (tmp_path / "gone").unlink()
    kept = positions(first)
    assert len(kept) == 4
    async with collecting(DirectorySource(tmp_path), kept) as second:
        await second.expect(b"more", b"other")
    deleted = [
        batch.position.key
        for batch in second.batches
        if isinstance(batch.position, Position) and not batch.position.value
    ]
    assert deleted == [f"directory {tmp_path}\0gone"]


async def test_a_damaged_file_is_skipped_until_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names it, other files are read; its lines that were read do not come again."""
    whole = gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))
    move_in(tmp_path, "a.gz", whole[: len(whole) // 2])
    move_in(tmp_path, "b", b"fine\n")
    source = DirectorySource(tmp_path)
    async with collecting(source) as collected:
        await collected.until(lambda: b"fine" in collected.lines and source.failures > 0)
        assert source.failures == 1
        move_in(tmp_path, "a.gz", whole)
        await collected.until(lambda: collected.number == 100_001)
    assert len(set(collected.lines)) == 100_001
    assert capsys.readouterr().err.count("a.gz can't be read to its end") == 1


async def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """A missing directory and a file are wrong arguments."""
    (tmp_path / "file").touch()
    for name, why in (("missing", "No such file"), ("file", "Not a directory")):
        with pytest.raises(ConfigurationError, match=f"{name} can't be listed: {why}"):
            await DirectorySource(tmp_path / name).open()
