"""The archive of loaded classes: one JVM writes it, later ones map it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.embedded.class_archive import ClassArchive


def new_archive(folder: Path, class_path: str = "one.jar") -> ClassArchive:
    java = folder / "jdk" / "bin" / "java"
    own = folder / "jdk" / "lib" / "server" / "classes.jsa"
    for file in (java, own):
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.touch()
    return ClassArchive(java, class_path, folder / "classes")


@pytest.fixture
def archive(tmp_path: Path) -> ClassArchive:
    """An archive that does not exist yet."""
    return new_archive(tmp_path)


def test_a_java_without_an_archive_of_its_own_gets_one_first(tmp_path: Path) -> None:
    """The archive of the server's classes builds on the archive of Java's classes."""
    new_archive(tmp_path)
    (tmp_path / "jdk" / "lib" / "server" / "classes.jsa").unlink()
    java = tmp_path / "jdk" / "bin" / "java"
    java.write_text('#!/bin/sh\nfor last; do true; done\necho "$1" > "${last#*=}"\n')
    java.chmod(0o755)
    archive = ClassArchive(java, "one.jar", tmp_path / "classes")
    base = archive.path.with_suffix(".base")
    assert f"-XX:SharedArchiveFile={base}" in archive.to_write()
    assert base.read_text() == "-Xshare:dump\n"
    archive.path.touch()
    archive.finish()
    assert f"-XX:SharedArchiveFile={base}:{archive.path}" in archive.to_map()


def unfinished(archive: ClassArchive) -> Path:
    (option,) = [o for o in archive.to_write() if o.startswith("-XX:ArchiveClassesAtExit=")]
    path = Path(option.partition("=")[2])
    path.write_bytes(b"classes")
    return path


def test_the_first_jvm_writes_and_the_next_one_maps(archive: ClassArchive, tmp_path: Path) -> None:
    """The archive is there once its JVM has ended in order, and then no JVM writes again."""
    assert archive.to_map() == []
    path = unfinished(archive)
    assert archive.is_written
    archive.finish()
    assert not archive.is_written
    assert not path.exists()
    again = new_archive(tmp_path)
    assert f"-XX:SharedArchiveFile={archive.path}" in again.to_map()
    assert again.to_write() == []
    assert archive.path.read_bytes() == b"classes"


def test_a_killed_jvm_leaves_no_archive(archive: ClassArchive) -> None:
    """Half an archive is discarded; the next JVM writes one."""
    path = unfinished(archive)
    archive.abandon()
    assert not path.exists()
    assert archive.to_map() == []
    assert unfinished(archive) == path
    archive.finish()


def test_one_of_two_jvms_writes(archive: ClassArchive, tmp_path: Path) -> None:
    """The second JVM neither writes nor waits, and its end leaves the first one's file alone."""
    path = unfinished(archive)
    second = new_archive(tmp_path)
    assert second.to_write() == []
    second.finish()
    second.abandon()
    assert path.exists()
    archive.finish()


def test_other_jars_have_another_archive(archive: ClassArchive, tmp_path: Path) -> None:
    """Servers of another class path never share an archive."""
    assert new_archive(tmp_path, "two.jar").path != archive.path


def test_a_jvm_that_writes_none_is_no_error(archive: ClassArchive) -> None:
    """A Java that can't write archives says so only by leaving none."""
    unfinished(archive).unlink()
    archive.finish()
    assert archive.to_map() == []


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    """Servers start without an archive."""
    (tmp_path / "file").touch()
    archive = ClassArchive(Path(sys.executable), "one.jar", tmp_path / "file" / "classes")
    assert archive.to_map() == []
    assert archive.to_write() == []
    archive.finish()
