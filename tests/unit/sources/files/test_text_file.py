"""A text file is resumed at a saved state if it still holds the same text."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.files.fingerprint import HEAD, TAIL
from app.sources.files.text_file import TextFile


def zstandard(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard,
}
TEXT = b"".join(b"line %d of a text\n" % number for number in range(1000))


def rest(file: TextFile) -> bytes:
    """Return the unread rest of a file, without its last newline."""
    batches = []
    while (found := file.read()) is not None:
        batches += found
    batches += file.finish()
    file.close()
    return b"\n".join(batch.text for batch in batches if batch.lines)


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("chunk", [7, 300, HEAD, HEAD + TAIL, 5000])
def test_reading_resumes_at_a_state(tmp_path: Path, suffix: str, chunk: int) -> None:
    """A state of any chunk size works, for compressed files too."""
    path = tmp_path / f"file{suffix}"
    path.write_bytes(PACKERS[suffix](TEXT))
    file = TextFile(path, chunk=chunk)
    while not file.resume_offset:
        file.read()
    state = file.state
    file.close()
    again = TextFile(path, state)
    assert again.resumed
    assert again.resume_offset == state["offset"]
    assert rest(again) == TEXT[state["offset"] :].rstrip(b"\n")


@given(st.integers(1, len(TEXT) - 1), st.integers(0, len(TEXT) - 1))
def test_a_text_that_differs_before_the_offset_is_another_text(
    tmp_path_factory: pytest.TempPathFactory, chunk: int, changed: int
) -> None:
    """A change in the head or right before the offset makes reading start from the beginning."""
    path = tmp_path_factory.mktemp("text") / "file"
    path.write_bytes(TEXT)
    file = TextFile(path, chunk=chunk)
    file.read()
    state = file.state
    file.close()
    offset = state["offset"]
    path.write_bytes(TEXT[:changed] + b"\0" + TEXT[changed + 1 :])
    again = TextFile(path, state)
    seen = changed < min(HEAD, offset) or offset - TAIL <= changed < offset
    assert again.resumed == (not seen)
    assert again.resume_offset == (0 if seen else offset)
    again.close()


def test_a_shorter_file_is_another_text(tmp_path: Path) -> None:
    """A file that was cut behind its head may have been emptied and written again."""
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    file = TextFile(path)
    file.read()
    state = file.state
    os.truncate(path, len(TEXT) - 1)
    assert file.changed()
    file.close()
    assert rest(TextFile(path, state)) == TEXT[:-1]


def test_a_file_that_was_emptied_and_has_outgrown_itself_is_noticed(tmp_path: Path) -> None:
    """A comparison of the text before the offset detects it."""
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    file = TextFile(path)
    file.read()
    with path.open("ab") as more:
        more.write(b"more\n")
    assert not file.changed()
    path.write_bytes(b"new " * len(TEXT))
    assert file.changed()
    assert file.rewind() == []
    assert file.resume_offset == 0
    file.close()
