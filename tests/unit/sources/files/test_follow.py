"""A follow source reads growing files through rotation and truncation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.sources.files.follow import FollowSource


class CountingSource(FollowSource):
    """Counts its polls that found nothing new."""

    polls = 0

    async def pause(self, seconds: float) -> bool:
        """Count a poll and wait for the next."""
        self.polls += 1
        return await super().pause(seconds)


class Follower:
    """Collects the lines of a source, in order."""

    def __init__(self, source: CountingSource) -> None:
        self.source = source
        self.lines: list[bytes] = []

    async def run(self) -> None:
        """Collect lines until the source is stopped."""
        async for batch in self.source.batches():
            self.lines += batch.text.split(b"\n")

    async def expect(self, *lines: bytes) -> None:
        """Wait until exactly these lines were collected."""
        await self._until(lambda: len(self.lines) >= len(lines))
        assert self.lines == list(lines)

    async def polled_twice(self) -> None:
        """Wait until the source has polled twice and found nothing new."""
        polls = self.source.polls
        await self._until(lambda: self.source.polls >= polls + 2)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - files have no events
                await asyncio.sleep(0.005)


@asynccontextmanager
async def following(*paths: Path, rotated_seconds: float = 0.3) -> AsyncIterator[Follower]:
    follower = Follower(CountingSource(paths, rotated_seconds))
    await follower.source.open()
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        follower.source.stop()
        await asyncio.wait_for(task, 10)
        await follower.source.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def rewrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def remove(path: Path) -> None:
    path.unlink()


async def test_lines_come_as_they_are_written(log: Path) -> None:
    """Present lines come first, then each line once its newline is written."""
    async with following(log) as follower:
        await follower.expect(b"1")
        append(log, b"2\n3")
        await follower.expect(b"1", b"2")
        append(log, b"3\n")
        await follower.expect(b"1", b"2", b"33")


async def test_a_rotated_file_is_read_to_its_end(log: Path, tmp_path: Path) -> None:
    """Lines written to the old file after the rename are read, also a last one without newline."""
    async with following(log) as follower:
        await follower.expect(b"1")
        old = tmp_path / "log.1"
        move(log, old)
        append(old, b"2\n")
        await follower.expect(b"1", b"2")
        append(log, b"3\n")
        await follower.expect(b"1", b"2", b"3")
        append(old, b"4\nunended")
        await follower.expect(b"1", b"2", b"3", b"4", b"unended")
        append(log, b"5\n")
        await follower.expect(b"1", b"2", b"3", b"4", b"unended", b"5")


async def test_a_removed_file_may_come_back(log: Path) -> None:
    """The source keeps checking a path whose file is missing."""
    async with following(log) as follower:
        await follower.expect(b"1")
        remove(log)
        await follower.polled_twice()
        append(log, b"2\n")
        await follower.expect(b"1", b"2")


async def test_a_truncated_file_is_read_from_its_beginning(log: Path) -> None:
    """After a file was emptied, the next lines written to it are read."""
    async with following(log) as follower:
        append(log, b"a longer line\nhalf")
        await follower.expect(b"1", b"a longer line")
        rewrite(log, b"2\n")
        await follower.expect(b"1", b"a longer line", b"half", b"2")


async def test_several_files_are_followed_at_once(log: Path, tmp_path: Path) -> None:
    """Lines of all paths are read."""
    other = tmp_path / "other"
    other.touch()
    async with following(log, other) as follower:
        await follower.expect(b"1")
        append(other, b"2\n")
        await follower.expect(b"1", b"2")
        append(log, b"3\n")
        await follower.expect(b"1", b"2", b"3")


async def test_only_existing_plain_files_can_be_followed(tmp_path: Path) -> None:
    """A missing file, a directory and a compressed file are wrong arguments."""
    packed = tmp_path / "log.gz"
    packed.touch()
    for path in (tmp_path / "missing", tmp_path, packed):
        with pytest.raises(ConfigurationError, match=str(path)):
            await FollowSource([path]).open()
