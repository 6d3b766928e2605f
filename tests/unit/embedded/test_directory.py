"""The data directory of a server: kept, deleted, locked for one server at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from app.embedded import directory
from app.embedded.directory import DataDirectory
from app.errors import ConfigurationError, UnavailableError


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_given_directory_is_kept(tmp_path: Path) -> None:
    """A directory that the user named is created if it is missing, and never deleted."""
    data = DataDirectory(tmp_path / "a" / "b", "Kafka")
    data.acquire()
    (data.path / "file").touch()
    data.discard()
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_temporary_directory_is_deleted_at_the_end() -> None:
    """A temporary directory survives stops and is deleted at the end."""
    data = DataDirectory(None, "Kafka")
    path = data.acquire()
    data.release()
    assert data.path == path
    data.discard()
    assert not path.exists()


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    """A second server on the same data is refused until the first has released it."""
    first, second = DataDirectory(tmp_path, "Kafka"), DataDirectory(tmp_path, "Kafka")
    first.acquire()
    with pytest.raises(UnavailableError, match="in use by another Kafka"):
        second.acquire()
    first.release()
    second.acquire()
    second.discard()


def test_a_directory_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    """The error names the directory, which the user must change."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="can't be created"):
        DataDirectory(tmp_path / "file" / "data", "Kafka").acquire()


def test_leftovers_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next temporary directory deletes those that no process has locked."""
    monkeypatch.setattr(directory, "_SECONDS_TO_LOCK", 0.0)
    leftover = Path(tempfile.mkdtemp(prefix="wordcount-stream-Kafka-"))
    held = DataDirectory(None, "Kafka")
    held.acquire()
    other = DataDirectory(None, "Cassandra")
    other.acquire()
    assert not leftover.exists()
    assert held.path.exists()
    held.discard()
    other.discard()
    assert list(tmp_path.iterdir()) == []
