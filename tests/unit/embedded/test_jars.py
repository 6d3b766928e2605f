"""The cache of jars: fetching, checking, refusing."""

from __future__ import annotations

import errno
import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.embedded.jar_lock import Jar
from app.embedded.jars import JarCache, cache_directory
from app.errors import ConfigurationError, UnavailableError

GOOD = b"a jar"


def make_jar(artifact: str = "one", *, name: str = "kafka") -> Jar:
    return Jar(name, "org.example", artifact, "1.0", "", hashlib.sha256(GOOD).hexdigest())


class Repository:
    """Returns these contents in turn, the last one for ever."""

    def __init__(self, *contents: bytes | Exception) -> None:
        self._contents = list(contents)
        self.fetched: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, jar: Jar, directory: Path) -> Path:
        """Write the next content as the jar below the directory."""
        with self._lock:
            self.fetched.append(jar.name)
            content = self._contents[0] if len(self._contents) == 1 else self._contents.pop(0)
        if isinstance(content, Exception):
            raise content
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / jar.name
        path.write_bytes(content)
        return path


def test_missing_jars_are_fetched_once(tmp_path: Path) -> None:
    """The first use fetches the jars, the second finds them in the cache."""
    repository = Repository(GOOD)
    cache = JarCache(tmp_path, [make_jar(), make_jar("two")], repository)
    found = cache.paths("kafka")["kafka"]
    assert [(path.name, path.read_bytes()) for path in found] == [
        ("one-1.0.jar", GOOD),
        ("two-1.0.jar", GOOD),
    ]
    assert cache.paths("kafka")["kafka"][0].read_bytes() == GOOD
    assert sorted(repository.fetched) == ["one-1.0.jar", "two-1.0.jar"]


def test_only_the_requested_sets_are_fetched(tmp_path: Path) -> None:
    """A start of Kafka alone does not fetch the jars of Cassandra."""
    repository = Repository(GOOD)
    JarCache(tmp_path, [make_jar(), make_jar("two", name="cassandra")], repository).paths("kafka")
    assert repository.fetched == ["one-1.0.jar"]


def test_a_damaged_jar_is_fetched_again(tmp_path: Path) -> None:
    """A jar that was changed in the cache is replaced before it is used."""
    cache = JarCache(tmp_path, [make_jar()], Repository(GOOD))
    (jar,) = cache.paths("kafka")["kafka"]
    jar.write_bytes(b"half a j")
    assert cache.paths("kafka") == {"kafka": [jar]}
    assert jar.read_bytes() == GOOD


@pytest.mark.parametrize("first", [b"damaged", ConnectionError("reset by peer")])
def test_a_failed_download_is_retried(first: bytes | Exception, tmp_path: Path) -> None:
    """A wrong checksum or a broken connection costs one try and does not stop the start."""
    repository = Repository(first, first, GOOD)
    JarCache(tmp_path, [make_jar()], repository).paths("kafka")
    assert len(repository.fetched) == 3


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"damaged", "its SHA-256 is not the recorded one"),
        (ConnectionError("no route\nto host"), "no route to host"),
    ],
)
def test_three_failures_are_one_clear_line(
    content: bytes | Exception, cause: str, tmp_path: Path
) -> None:
    """After three tries the error names the jar, the cause and the remedy, and no jar is left."""
    with pytest.raises(
        UnavailableError, match=r"one-1\.0\.jar .* 3 tries .* start again"
    ) as caught:
        JarCache(tmp_path, [make_jar()], Repository(content)).paths("kafka")
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.glob("*.jar")] == []
    assert not (tmp_path / "staging").exists()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A full disk ends the fetch at once, with one line and the remedy."""
    repository = Repository(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(UnavailableError, match=r"no space left .* XDG_CACHE_HOME"):
        JarCache(tmp_path, [make_jar()], repository).paths("kafka")
    assert len(repository.fetched) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A cache directory that cannot be created is a configuration error with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"can't be kept there .* XDG_CACHE_HOME"):
        JarCache(tmp_path / "file" / "jars", [make_jar()], Repository(GOOD)).paths("kafka")


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """A second process waits for the first and uses the jars that it fetched."""
    repository = Repository(GOOD)
    caches = [JarCache(tmp_path, [make_jar()], repository) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda cache: cache.paths("kafka"), caches))
    assert repository.fetched == ["one-1.0.jar"]


def test_progress_is_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal a download prints a first and a last line."""
    JarCache(tmp_path, [make_jar()], Repository(GOOD)).paths("kafka")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Fetching 1 jars")
    assert lines[-1] == "Fetched 1 of 1 jars, 0 MiB"


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is where the system keeps caches, shared by all checkouts."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "wordcount-stream"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "wordcount-stream"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_directory() == Path.home() / "Library" / "Caches" / "wordcount-stream"
