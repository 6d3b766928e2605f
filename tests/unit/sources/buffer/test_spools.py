"""Each purpose has a spool of its own, and lines left in other spools are found."""

from pathlib import Path

from app.sources.base import Batch
from app.sources.buffer.spool import Spool
from app.sources.buffer.spools import left_by_others, spool_for

LINES = Batch.of(["left"])


def opened(purpose: str, above: Path) -> Spool:
    spool = spool_for(purpose, above, 1 << 30)
    spool.open()
    return spool


def test_a_purpose_has_a_folder_of_its_kind(tmp_path: Path) -> None:
    """It is the same each time and differs from that of other purposes; a file in it names it."""
    first, second = opened("stdin to a", tmp_path), opened("stdin to b", tmp_path)
    again = spool_for("stdin to a", tmp_path, 1)
    assert first.directory == again.directory != second.directory
    assert first.directory.parent == tmp_path
    assert first.directory.name.startswith("stdin-")
    assert (first.directory / "purpose").read_text() == "stdin to a"
    first.close()
    second.close()


def test_lines_that_no_process_delivers_are_found(tmp_path: Path) -> None:
    """Those of the same source whose process ended; other files and empty spools are ignored."""
    left, other = opened("stdin to a", tmp_path), opened("x to a", tmp_path)
    left.append([LINES])
    other.append([LINES])
    other.close()
    opened("stdin to empty", tmp_path).close()
    (tmp_path / "stdin-file").touch()
    (tmp_path / "stdin-folder").mkdir()
    mine = opened("stdin to b", tmp_path)
    assert left_by_others(mine) == []
    left.close()
    (line,) = left_by_others(mine)
    assert line.endswith(f" bytes of `stdin to a` in {left.directory}")
    mine.close()
    again = opened("stdin to a", tmp_path)
    found = again.read()
    assert found is not None
    again.release(found[1])
    again.close()
    mine.open()
    assert left_by_others(mine) == []
    mine.close()
