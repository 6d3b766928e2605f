"""Growing files are followed through rotation and truncation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.sources.files.follow import FollowSource


class CountingSource(FollowSource):
    """Counts its looks at files that had nothing new."""

    looks = 0

    async def pause(self, seconds: float) -> bool:
        """Wait for the next look."""
        self.looks += 1
        return await super().pause(seconds)


class Follower:
    """What a followed source has yielded, in order."""

    def __init__(self, source: CountingSource) -> None:
        self.source = source
        self.lines: list[bytes] = []

    async def run(self) -> None:
        """Follow until the source is stopped."""
        async for batch in self.source.batches():
            self.lines += batch.text.split(b"\n")

    async def expect(self, *lines: bytes) -> None:
        """Wait until exactly these lines have come."""
        await self._until(lambda: len(self.lines) >= len(lines))
        assert self.lines == list(lines)

    async def look(self) -> None:
        """Wait until the source has looked for something new, and found nothing, twice."""
        looks = self.source.looks
        await self._until(lambda: self.source.looks >= looks + 2)

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
    """What is there comes first, then each line once its newline is written."""
    async with following(log) as follower:
        await follower.expect(b"1")
        append(log, b"2\n3")
        await follower.expect(b"1", b"2")
        append(log, b"3\n")
        await follower.expect(b"1", b"2", b"33")


async def test_a_rotated_file_is_read_to_its_end(log: Path, tmp_path: Path) -> None:
    """Lines written to the old file after it was moved away, and a last one unended, are read."""
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
    """A path that is gone for a while is looked for again."""
    async with following(log) as follower:
        await follower.expect(b"1")
        remove(log)
        await follower.look()
        append(log, b"2\n")
        await follower.expect(b"1", b"2")


async def test_a_truncated_file_is_read_from_its_beginning(log: Path) -> None:
    """A file that was copied away and emptied goes on with what is written next."""
    async with following(log) as follower:
        append(log, b"a longer line\nhalf")
        await follower.expect(b"1", b"a longer line")
        rewrite(log, b"2\n")
        await follower.expect(b"1", b"a longer line", b"half", b"2")


async def test_several_files_are_followed_at_once(log: Path, tmp_path: Path) -> None:
    """Lines of all paths come, whichever is written to."""
    other = tmp_path / "other"
    other.touch()
    async with following(log, other) as follower:
        await follower.expect(b"1")
        append(other, b"2\n")
        await follower.expect(b"1", b"2")
        append(log, b"3\n")
        await follower.expect(b"1", b"2", b"3")


async def test_only_plain_files_that_are_there_can_be_followed(tmp_path: Path) -> None:
    """A missing file, a directory and a compressed file are wrong arguments."""
    packed = tmp_path / "log.gz"
    packed.touch()
    for path in (tmp_path / "missing", tmp_path, packed):
        with pytest.raises(ConfigurationError, match=str(path)):
            await FollowSource([path]).open()
